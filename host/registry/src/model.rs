use serde::Serialize;

use crate::file::{Group, Ids, Type};
use crate::name::last_part;

/// A published model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// The family, which is the name of the registry's file.
    pub family: String,
    /// What ms-swift calls `model_type`.
    pub model_type: String,
    /// What `architectures` in `config.json` may have first.
    pub architectures: Vec<String>,
    /// `model_type` in `config.json`, where it is known.
    pub config_type: Option<String>,
    /// The chat template that it was trained with, by name; none if no named one is known to fit.
    pub template: Option<String>,
    /// Element type of the weights, as `config.json` calls it, where it is known.
    pub dtype: Option<String>,
    /// The most tokens that it has positions for, where it is known.
    pub context_length: Option<u64>,
    /// How the weights are stored, if not as plain numbers: `awq`, `gptq-int4`, `fp8` …
    pub quantization: Option<String>,
    /// What it is for, if not for writing: `reward`, `embedding`, `generative_reranker` …
    pub task: Option<String>,
    /// Whether it sees or hears besides reading.
    pub multimodal: bool,
    /// What it is good at, in ms-swift's words: `coding`, `math` …
    pub tags: Vec<String>,
    /// Patterns of the files that it consists of.
    pub files: Vec<String>,
    /// Files that are not needed though they fit `files`, as regular expressions.
    pub ignore: Vec<String>,
    /// Its id on modelscope.cn, if it is there.
    pub modelscope: Option<String>,
    /// Its id on huggingface.co, if it is there.
    pub hugging_face: Option<String>,
}

impl Model {
    pub(crate) fn new(family: &str, kind: &Type, group: &Group, ids: &Ids, files: &[String]) -> Self {
        let id = |own: &Option<String>| own.clone().or_else(|| ids.both.clone());
        Self {
            family: family.to_owned(),
            model_type: kind.name.clone(),
            architectures: kind.architectures.clone(),
            config_type: kind.config_type.clone(),
            template: group.template.clone(),
            dtype: group.dtype.clone(),
            context_length: group.context_length,
            quantization: group.quantization.clone(),
            task: kind.task.clone(),
            multimodal: kind.multimodal,
            tags: group.tags.clone(),
            files: files.to_vec(),
            ignore: group.ignore.clone(),
            modelscope: id(&ids.modelscope),
            hugging_face: id(&ids.hugging_face),
        }
    }

    /// Its ids: that on huggingface.co first, and that on modelscope.cn if it is another one.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let main = self.hugging_face.as_deref();
        // Some differ in letter case only.
        let same = |id: &str| main.is_some_and(|main| main.eq_ignore_ascii_case(id));
        main.into_iter().chain(self.modelscope.as_deref().filter(move |id| !same(id)))
    }

    /// The id that it is mostly known by.
    pub fn id(&self) -> &str {
        self.ids().next().unwrap_or_default()
    }

    /// Whether one of its ids ends in this name, which is lower-case.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.ids().any(|id| last_part(id).eq_ignore_ascii_case(name))
    }
}
