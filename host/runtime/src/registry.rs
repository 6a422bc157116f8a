use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::nearest::nearest_first;
use crate::{Engine, Error, Origin, Plugin, Result};

/// Finds plugins: the standard ones by name, others by the path of their file. Both go the same way from there.
#[derive(Clone)]
pub struct Registry {
    engine: Engine,
    standard: &'static [(&'static str, &'static [u8])],
}

impl Registry {
    /// A registry with the given standard plugins, as name and component.
    pub fn new(engine: Engine, standard: &'static [(&'static str, &'static [u8])]) -> Self {
        Self { engine, standard }
    }

    /// The names of the standard plugins.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.standard.iter().map(|(name, _)| *name)
    }

    /// The plugin that `specification` names: `dpo`, or `./dpo.wasm`.
    ///
    /// # Errors
    /// If there is none, or it can't be loaded.
    pub fn resolve(&self, specification: &str) -> Result<Plugin> {
        if let Some((name, bytes)) = self.standard.iter().find(|(name, _)| *name == specification) {
            return Plugin::load(&self.engine, name, Origin::Standard, &Cow::Borrowed(bytes));
        }
        let path = Path::new(specification);
        let looks_like_a_path = path.components().count() > 1 || path.extension().is_some();
        if !looks_like_a_path && !path.exists() {
            return Err(Error::Unknown {
                name: specification.to_owned(),
                known: nearest_first(specification, self.names()),
            });
        }
        let bytes =
            std::fs::read(path).map_err(|source| Error::Read { path: PathBuf::from(path), source })?;
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Plugin::load(&self.engine, specification, Origin::File(path), &Cow::Owned(bytes))
    }
}
