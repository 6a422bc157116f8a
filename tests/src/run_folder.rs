use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::{Outcome, read_json_lines, swift_host};

/// Tensors by name, as `float32`.
pub type Weights = BTreeMap<String, Vec<f32>>;

/// A finished run.
pub struct Run {
    /// What it printed.
    pub outcome: Outcome,
    /// The run directory.
    pub folder: PathBuf,
}

impl Run {
    /// Runs `swift-host run` with `arguments`, into the new folder `output` of `folder`.
    ///
    /// # Errors
    /// If the executable can't be run.
    pub fn start(folder: &Path, output: &str, arguments: &[String]) -> Result<Self> {
        let output_folder = folder.join(output);
        let mut command = swift_host(folder)?;
        command.arg("run").args(arguments).arg("--output-dir").arg(&output_folder);
        Ok(Self { outcome: command.output()?.into(), folder: output_folder })
    }

    /// As [`Run::start`], and the run must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub fn succeed(folder: &Path, output: &str, arguments: &[String]) -> Result<Self> {
        let run = Self::start(folder, output, arguments)?;
        ensure!(
            run.outcome.code == Some(0),
            "`swift-host run {}`:\n{}",
            arguments.join(" "),
            run.outcome.stderr
        );
        Ok(run)
    }

    /// The lines of `logging.jsonl` that have `key`.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn log_lines(&self, key: &str) -> Result<Vec<Value>> {
        let lines = read_json_lines(&self.folder.join("logging.jsonl"))?;
        Ok(lines.into_iter().filter(|line| line.get(key).is_some()).collect())
    }
}

/// The checkpoint with the most steps.
///
/// # Errors
/// If there is none.
pub fn last_checkpoint(run: &Path) -> Result<PathBuf> {
    let steps = |path: &Path| path.file_name()?.to_str()?.strip_prefix("checkpoint-")?.parse::<u64>().ok();
    let paths = fs::read_dir(run)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let last = paths.into_iter().filter_map(|path| Some((steps(&path)?, path))).max();
    Ok(last.with_context(|| format!("`{}` has no checkpoint", run.display()))?.1)
}

/// The tensors of a safetensors file.
///
/// # Errors
/// If it is missing, damaged, or has another element type.
pub fn read_weights(path: &Path) -> Result<Weights> {
    let bytes = fs::read(path).with_context(|| format!("can't read `{}`", path.display()))?;
    let tensors = SafeTensors::deserialize(&bytes)?;
    let mut weights = Weights::new();
    for (name, tensor) in tensors.tensors() {
        ensure!(tensor.dtype() == Dtype::F32, "`{name}` of `{}` is {:?}", path.display(), tensor.dtype());
        let (values, _) = tensor.data().as_chunks::<4>();
        weights.insert(name, values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect());
    }
    Ok(weights)
}
