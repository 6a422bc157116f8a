//! `config.json` of a Hugging Face folder: what kind of model it holds.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use swift_tensor::DType;

use crate::quantised::is_read;
use crate::weights::weight_files;
use crate::{Error, Result};

/// The name of the file.
pub(crate) const CONFIG_FILE: &str = "config.json";

/// A `config.json` that has been read. What its settings mean is the model plugin's business.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    folder: PathBuf,
    text: String,
    entries: Map<String, Value>,
    architecture: String,
}

impl ModelConfig {
    /// Reads `config.json` in `folder`.
    ///
    /// # Errors
    /// If the folder or the file is not there, or if the file is not a JSON object with an entry `architectures`.
    pub fn read(folder: &Path) -> Result<Self> {
        require_folder(folder)?;
        let path = folder.join(CONFIG_FILE);
        let mut entries = read_object(&path)?;
        let mut architecture = entries
            .get("architectures")
            .and_then(|names| names.get(0))
            .and_then(Value::as_str)
            .ok_or_else(|| Error::json(&path, "it has no entry `architectures` with a name in it"))?
            .to_owned();
        if let Some(base) = renamed(&architecture, SCORES, WRITES) {
            entries.insert("architectures".into(), json!([base]));
            architecture = base;
        }
        let text = for_definition(&entries);
        Ok(Self { folder: folder.to_owned(), text, entries, architecture })
    }

    /// The same with another value of a setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.entries.insert(name.to_owned(), value);
        self.text = for_definition(&self.entries);
        self
    }

    /// The same for weights that are not quantised any more.
    #[must_use]
    pub(crate) fn dense(mut self) -> Self {
        self.entries.remove(QUANTISED);
        self
    }

    /// A setting; none if it is not there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.get(name)
    }

    /// The folder it lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files that determine what the model is, to be digested for a record: `config.json` and the weights.
    ///
    /// # Errors
    /// If the weights are not there.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = vec![self.folder.join(CONFIG_FILE)];
        files.extend(weight_files(&self.folder)?);
        Ok(files)
    }

    /// The JSON text, for a model plugin, with the name of [`Self::architecture`], and without what the host itself knows of how
    /// weights are quantised.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first entry of `architectures`, such as `LlamaForCausalLM`. A model with a score head is wired as the one without
    /// is, and has its name: `LlamaForSequenceClassification` is `LlamaForCausalLM`, too.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The entry `model_type`, such as `llama`; empty if there is none.
    pub fn model_type(&self) -> &str {
        self.entries.get("model_type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The element type the weights were trained in: `dtype`, or `torch_dtype` before transformers 5. None if it is not
    /// said or not one that runs here.
    pub fn dtype(&self) -> Option<DType> {
        let name = self.entries.get("dtype").or_else(|| self.entries.get("torch_dtype"))?.as_str()?;
        [DType::F32, DType::BF16, DType::F16, DType::F64].into_iter().find(|&dtype| dtype_name(dtype) == name)
    }

    /// The file's text as it belongs to weights beside it: with their element type, if it is given, and, if they have a score head, what
    /// transformers goes by to make one: the class of the model, and a name for each of the head's outputs.
    pub(crate) fn text_for(&self, dtype: Option<DType>, score_outputs: Option<usize>) -> String {
        let mut entries = self.entries.clone();
        let key = if entries.contains_key("torch_dtype") { "torch_dtype" } else { "dtype" };
        if let Some(dtype) = dtype {
            entries.insert(key.into(), dtype_name(dtype).into());
        }
        if let Some(outputs) = score_outputs {
            if let Some(name) = renamed(&self.architecture, WRITES, SCORES) {
                entries.insert("architectures".into(), json!([name]));
            }
            let named = entries.get("id2label").and_then(Value::as_object).map(Map::len);
            if named != Some(outputs) {
                let label = |output| format!("LABEL_{output}");
                let names = (0..outputs).map(|output| (output.to_string(), label(output).into()));
                let numbers = (0..outputs).map(|output| (label(output), output.into()));
                entries.insert("id2label".into(), Value::Object(names.collect()));
                entries.insert("label2id".into(), Value::Object(numbers.collect()));
            }
            entries.insert("num_labels".into(), outputs.into());
        }
        format!("{:#}\n", Value::Object(entries))
    }
}

/// The setting that says how weights are quantised.
const QUANTISED: &str = "quantization_config";

/// The settings that a definition gets to see.
fn for_definition(entries: &Map<String, Value>) -> String {
    let mut entries = entries.clone();
    if entries.get(QUANTISED).is_some_and(is_read) {
        entries.remove(QUANTISED);
    }
    Value::Object(entries).to_string()
}

/// How transformers ends the names of classes that predict tokens, and of those that have a score head in the place of the
/// output projection. What comes before is the same.
const WRITES: &str = "ForCausalLM";
const SCORES: &str = "ForSequenceClassification";

/// A name with another end, if it has the former one.
fn renamed(architecture: &str, from: &str, to: &str) -> Option<String> {
    Some(format!("{}{to}", architecture.strip_suffix(from)?))
}

/// An element type as PyTorch calls it.
fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::F64 => "float64",
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        other => other.as_str(),
    }
}

/// Checks that `folder` is one.
pub(crate) fn require_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(if folder.exists() { Error::NotAFolder(folder.into()) } else { Error::FolderMissing(folder.into()) })
}

/// Reads a file that holds one JSON object.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).map_err(Error::read(path))?;
    serde_json::from_str(&text).map_err(|error| Error::json(path, error))
}
