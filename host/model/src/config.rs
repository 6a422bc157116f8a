//! `config.json` of a Hugging Face folder: what kind of model it holds.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use swift_tensor::DType;

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
        let entries = read_object(&path)?;
        let architecture = entries
            .get("architectures")
            .and_then(|names| names.get(0))
            .and_then(Value::as_str)
            .ok_or_else(|| Error::json(&path, "it has no entry `architectures` with a name in it"))?
            .to_owned();
        let text = Value::Object(entries.clone()).to_string();
        Ok(Self { folder: folder.to_owned(), text, entries, architecture })
    }

    /// The folder it lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The JSON text, for a model plugin.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first entry of `architectures`, such as `LlamaForCausalLM`.
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
        [DType::F32, DType::BF16, DType::F64].into_iter().find(|&dtype| dtype_name(dtype) == name)
    }

    /// The file's text with the element type replaced by that of the weights beside it.
    pub(crate) fn text_with_dtype(&self, dtype: DType) -> String {
        let mut entries = self.entries.clone();
        let key = if entries.contains_key("torch_dtype") { "torch_dtype" } else { "dtype" };
        entries.insert(key.into(), dtype_name(dtype).into());
        format!("{:#}\n", Value::Object(entries))
    }
}

/// An element type as PyTorch calls it.
fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::F64 => "float64",
        DType::BF16 => "bfloat16",
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
