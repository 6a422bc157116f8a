//! The files that a run's weights come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use swift_model::ModelConfig;
use swift_train::FileDigests;

/// Files that an adapter consists of.
const ADAPTER_FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

/// The files, and their digests, which are computed while all else is made ready.
pub(crate) struct ModelFiles {
    /// By `ROLE/NAME`. What is missing is the loader's to tell, which says first what else is wrong with a model.
    files: swift_model::Result<Vec<(String, PathBuf)>>,
    digests: FileDigests,
}

impl ModelFiles {
    /// Those of the models in the roles that are taken, and of the adapter in this folder.
    pub(crate) fn of<'a>(
        models: impl IntoIterator<Item = (&'a str, Option<&'a ModelConfig>)>,
        adapter: Option<&Path>,
    ) -> Self {
        let files = list(models, adapter);
        let digests = FileDigests::start(files.iter().flatten().map(|(_, path)| path.clone()));
        Self { files, digests }
    }

    /// The digests by `ROLE/NAME`, once they are there.
    ///
    /// # Errors
    /// If a file is missing or can't be read.
    pub(crate) fn digests(self) -> anyhow::Result<BTreeMap<String, String>> {
        let (files, digests) = (self.files?, self.digests.wait()?);
        let digest = |path: &Path| digests.get(path).cloned().context("A file has no digest");
        files.into_iter().map(|(name, path)| Ok((name, digest(&path)?))).collect()
    }
}

fn list<'a>(
    models: impl IntoIterator<Item = (&'a str, Option<&'a ModelConfig>)>,
    adapter: Option<&Path>,
) -> swift_model::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for (role, config) in models {
        let of_model = config.map(ModelConfig::files).transpose()?.unwrap_or_default();
        files.extend(of_model.into_iter().map(|path| (name(role, &path), path)));
    }
    let of_adapter = adapter.into_iter().flat_map(|folder| ADAPTER_FILES.map(|name| folder.join(name)));
    files.extend(of_adapter.map(|path| (name("adapter", &path), path)));
    Ok(files)
}

fn name(role: &str, path: &Path) -> String {
    format!("{role}/{}", path.file_name().unwrap_or_default().to_string_lossy())
}
