//! The form of the registry's files.

use serde::Deserialize;

/// `common.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Common {
    /// Patterns of the files that a model consists of.
    pub(crate) files: Vec<String>,
}

/// A family's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Family {
    pub(crate) types: Vec<Type>,
}

/// Models that are wired alike.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Type {
    /// `--model-type` of ms-swift.
    pub(crate) name: String,
    /// What `architectures` in `config.json` may begin with.
    #[serde(default)]
    pub(crate) architectures: Vec<String>,
    /// `model_type` in `config.json`, where it is known.
    pub(crate) config_type: Option<String>,
    /// What the models are for, if not for writing.
    pub(crate) task: Option<String>,
    /// Whether they see or hear.
    #[serde(default)]
    pub(crate) multimodal: bool,
    pub(crate) groups: Vec<Group>,
}

/// Models that have all but their names in common.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) template: Option<String>,
    pub(crate) dtype: Option<String>,
    pub(crate) context_length: Option<u64>,
    /// How the weights are stored, if not as plain numbers.
    pub(crate) quantization: Option<String>,
    /// Files that are not needed, as regular expressions.
    #[serde(default)]
    pub(crate) ignore: Vec<String>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    pub(crate) models: Vec<Ids>,
}

/// Where one model is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ids {
    /// Its id if it is the same in both places.
    pub(crate) both: Option<String>,
    pub(crate) modelscope: Option<String>,
    pub(crate) hugging_face: Option<String>,
}
