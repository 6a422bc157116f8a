use std::path::Path;

use crate::engine::Engine;
use crate::plugin::{Origin, Plugin};
use crate::{Error, Kind, Result};

/// Standard plugins, each with its name and its component.
pub type Standard = &'static [(&'static str, &'static [u8])];

/// Finds plugins by what a user calls them. Standard plugins and files go the same way from here on.
#[derive(Clone)]
pub struct Registry {
    engine: Engine,
    standard: Standard,
}

impl Registry {
    /// A registry with these standard plugins.
    pub fn new(engine: Engine, standard: Standard) -> Self {
        Self { engine, standard }
    }

    /// The names of the standard plugins.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.standard.iter().map(|(name, _)| *name)
    }

    /// The names of the standard plugins of a kind. They are looked at and not compiled.
    pub fn names_of(&self, kind: Kind) -> impl Iterator<Item = &'static str> + use<> {
        let of_kind = move |wasm: &[u8]| Kind::scan(wasm).contains(&kind);
        self.standard.iter().filter(move |(_, wasm)| of_kind(wasm)).map(|(name, _)| *name)
    }

    /// As [`Registry::names_of`], those first in whose components a word is found: what a plugin knows by name is written in it.
    pub fn likely(&self, kind: Kind, word: &str) -> Vec<&'static str> {
        let has_word = |wasm: &[u8]| wasm.windows(word.len().max(1)).any(|bytes| bytes == word.as_bytes());
        let of_kind = self.standard.iter().filter(|(_, wasm)| Kind::scan(wasm).contains(&kind));
        let mut found: Vec<_> = of_kind.map(|(name, wasm)| (!has_word(wasm), *name)).collect();
        found.sort_by_key(|(without, _)| *without);
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// The plugin that is called `name`, or that is the file `name`.
    ///
    /// # Errors
    /// If there is none, or it is no plugin.
    pub fn resolve(&self, name: &str) -> Result<Plugin> {
        if let Some((name, wasm)) = self.standard.iter().find(|(standard, _)| *standard == name) {
            return self.load(wasm, name, Origin::Standard);
        }
        let path = Path::new(name);
        let is_path = path.components().count() > 1 || path.extension().is_some() || path.exists();
        if !is_path {
            let standard = self.names().map(str::to_owned).collect();
            return Err(Error::Unknown { name: name.to_owned(), standard });
        }
        let wasm = std::fs::read(path).map_err(|cause| Error::Read { path: path.to_owned(), cause })?;
        self.load(&wasm, name, Origin::File(path.to_owned()))
    }

    /// The plugin that these bytes are. `label` is what errors call it until it has said its name.
    ///
    /// # Errors
    /// If they are no plugin.
    pub fn load(&self, wasm: &[u8], label: &str, origin: Origin) -> Result<Plugin> {
        Plugin::load(&self.engine, wasm, label, origin)
    }
}
