//! What the registry knows of the model in a folder, and what follows from it.

use std::path::Path;

use swift_data::Tokenizer;
use swift_model::ModelConfig;
use swift_registry::{Model, Registry};

use crate::report::UsageError;

/// The `config.json` of a model's folder. If an id stands in place of a folder, the error says how to get the model.
pub(crate) fn read_config(folder: &Path) -> anyhow::Result<ModelConfig> {
    let error = match ModelConfig::read(folder) {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    let id = folder.to_str().filter(|_| matches!(error, swift_model::Error::FolderMissing(_)));
    let Some(model) = id.and_then(|id| Registry::embedded().ok()?.find(id).cloned()) else {
        return Err(error.into());
    };
    let mut usage = UsageError::new(error.to_string());
    let name = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned();
    if let Some(id) = &model.hugging_face {
        let folder = name(id);
        usage = usage.hint(format!(
            "`hf download {id} --local-dir {folder}` fetches it, and `--model {folder}` names its folder"
        ));
    }
    if let Some(id) = &model.modelscope {
        let folder = name(id);
        usage = usage.hint(format!(
            "so does `modelscope download --model {id} --local_dir {folder}`, from modelscope.cn"
        ));
    }
    Err(usage.into())
}

/// Which template is taken where none is named.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DefaultTemplate {
    /// The model's own, and the registry knows no other.
    Own,
    /// The model's own, though there is one by name for this model.
    OwnThough { name: String, model: String },
    /// The registry's.
    Named { name: String, model: String },
}

impl DefaultTemplate {
    /// For a model whose folder has a chat template of its own or not, in a run that needs a template by name or not.
    pub(crate) fn of(
        config: &ModelConfig,
        tokenizer: &Tokenizer,
        needs_name: bool,
    ) -> swift_registry::Result<Self> {
        let registry = Registry::embedded()?;
        let folder = std::path::absolute(config.folder()).unwrap_or_else(|_| config.folder().to_owned());
        let known = registry.of_folder(&folder, config.architecture());
        Ok(Self::decide(known, tokenizer.chat_template().is_some(), needs_name))
    }

    fn decide(known: Option<&Model>, has_own: bool, needs_name: bool) -> Self {
        let named = known.and_then(|model| Some((model.template.clone()?, model.id().to_owned())));
        match named {
            None => Self::Own,
            Some((name, model)) if has_own && !needs_name => Self::OwnThough { name, model },
            Some((name, model)) => Self::Named { name, model },
        }
    }

    /// What the user is told of it.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::Own => None,
            Self::OwnThough { name, model } => Some(format!(
                "the model's own chat template is taken; ms-swift's for `{model}` is `--template {name}`"
            )),
            Self::Named { name, model } => {
                Some(format!("the template `{name}` is taken, which the registry has for `{model}`"))
            }
        }
    }

    /// The name of the template, if it has one.
    pub(crate) fn name(self) -> Option<String> {
        match self {
            Self::Named { name, .. } => Some(name),
            Self::Own | Self::OwnThough { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_model_without_a_template_gets_the_registrys() {
        let registry = Registry::embedded().unwrap();
        let known = registry.models().iter().find(|model| model.template.is_some());
        let name = known.unwrap().template.clone();
        let decide = DefaultTemplate::decide;
        assert_eq!(decide(known, false, false).name(), name);
        assert_eq!(decide(known, true, true).name(), name);
        assert_eq!(decide(known, true, false).name(), None);
        assert!(
            decide(known, true, false).note().unwrap().contains(&format!("--template {}", name.unwrap()))
        );
        assert_eq!(decide(None, false, false), DefaultTemplate::Own);
        let unnamed = registry.models().iter().find(|model| model.template.is_none());
        assert!(unnamed.is_some());
        assert_eq!(decide(unnamed, false, true), DefaultTemplate::Own);
    }

    #[test]
    fn an_id_in_place_of_a_folder_is_told_how_to_get_the_model() {
        let registry = Registry::embedded().unwrap();
        let id = registry.models().iter().find_map(|model| model.hugging_face.clone()).unwrap();
        let error = read_config(Path::new(&id)).unwrap_err();
        assert!(error.is::<UsageError>(), "{error}");
        assert!(error.to_string().contains("does not exist"));
        assert!(!read_config(Path::new("nobody/no-such-model")).unwrap_err().is::<UsageError>());
    }
}
