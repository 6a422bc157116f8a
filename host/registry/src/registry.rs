use std::path::Path;

use serde::de::DeserializeOwned;

use crate::file::{Common, Family};
use crate::name::{last_part, of_folder};
use crate::{Error, Filter, Model, Result};

/// The families, and what their files say.
const FAMILIES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/families.rs"));
const COMMON: &str = include_str!("../data/common.toml");

/// All models that are known.
#[derive(Clone, Debug)]
pub struct Registry {
    models: Vec<Model>,
}

impl Registry {
    /// The registry that is embedded.
    ///
    /// # Errors
    /// If its data are broken, which a test rules out.
    pub fn embedded() -> Result<Self> {
        let common: Common = parse("common.toml", COMMON)?;
        let mut models = Vec::new();
        for (name, text) in FAMILIES {
            let family: Family = parse(&format!("{name}.toml"), text)?;
            for kind in &family.types {
                for group in &kind.groups {
                    let new = |ids| Model::new(name, kind, group, ids, &common.files);
                    models.extend(group.models.iter().map(new));
                }
            }
        }
        Ok(Self { models })
    }

    /// All models, by family.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The names of the families, in order.
    pub fn families(&self) -> impl Iterator<Item = &'static str> {
        FAMILIES.iter().map(|(name, _)| *name)
    }

    /// The models that a filter admits.
    pub fn filter(&self, filter: &Filter) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| filter.admits(model))
    }

    /// The model with an id, or with an id that ends in this name. Letter case does not matter.
    pub fn find(&self, id: &str) -> Option<&Model> {
        if id.contains('/') {
            return self.models.iter().find(|model| model.ids().any(|known| known.eq_ignore_ascii_case(id)));
        }
        self.models.iter().find(|model| model.is_called(id))
    }

    /// The model that lies in a folder, going by the folder's name and the architecture of its `config.json`: one that has
    /// the name and another architecture is another model.
    pub fn of_folder(&self, folder: &Path, architecture: &str) -> Option<&Model> {
        let name = of_folder(folder)?;
        self.models.iter().find(|model| {
            model.is_called(last_part(&name)) && model.architectures.iter().any(|known| known == architecture)
        })
    }
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| Error::File { file: file.to_owned(), message: error.to_string() })
}
