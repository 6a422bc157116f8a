//! Models on disk, as transformers and PEFT read them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use swift_tensor::Value;

use crate::config::CONFIG_FILE;
use crate::score_head::{Place, ScoreHead};
use crate::weights::{INDEX_FILE, WEIGHTS_FILE};
use crate::write::{write_file, write_tensors};
use crate::{Error, Model, Result};

/// The most bytes of one weights file: what transformers 4 splits at.
const SHARD_BYTES: usize = 5_000_000_000;

/// What a folder holds besides weights and `config.json`: the tokeniser, and how to generate.
const COMPANIONS: [&str; 11] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

impl Model {
    /// Writes what has been trained into `folder`, which is made if need be: an adapter as PEFT writes it, or else the
    /// whole model as a Hugging Face folder with the tokeniser's files. Each file is either written as a whole or not at
    /// all.
    ///
    /// # Errors
    /// If a file can't be read or written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::write(folder))?;
        let network = self.network();
        match &network.adapter {
            Some(adapter) => {
                let base_model = self.config().folder().to_string_lossy();
                adapter.write(folder, &network.architecture, &base_model, network.score_head.as_ref())
            }
            None => self.save_whole(folder, SHARD_BYTES),
        }
    }

    fn save_whole(&self, folder: &Path, shard_bytes: usize) -> Result<()> {
        let network = self.network();
        let names = network.architecture.parameters.iter().map(|parameter| parameter.name.clone());
        let values = network.weights.iter().map(|weight| Some(weight.as_tensor()?.value().clone()));
        let values = values.collect::<Option<Vec<_>>>().ok_or(Error::Frozen)?;
        let head = network.score_head.iter().map(|head| (Place::Model.name(), head.weight.clone()));
        write_shards(folder, names.zip(values).chain(head), shard_bytes)?;
        let outputs = network.score_head.as_ref().map(ScoreHead::outputs);
        let config = self.config().clone().dense().text_for(Some(network.dtype), outputs);
        write_file(&folder.join(CONFIG_FILE), |file| file.write_all(config.as_bytes()))?;
        copy_companions(self.config().folder(), folder)
    }
}

/// Copies what a folder holds besides weights and `config.json`.
pub(crate) fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    for name in COMPANIONS {
        let (from, to) = (from.join(name), to.join(name));
        if from.exists() && from != to {
            let content = std::fs::read(&from).map_err(Error::read(from))?;
            write_file(&to, |file| file.write_all(&content))?;
        }
    }
    Ok(())
}

/// Writes weights in one file, or in several with an index if they are more than `shard_bytes` together.
fn write_shards(
    folder: &Path,
    tensors: impl Iterator<Item = (String, Value)>,
    shard_bytes: usize,
) -> Result<()> {
    let size = |value: &Value| value.elem_count() * value.dtype().size_in_bytes();
    let (mut shards, mut room, mut total) = (vec![BTreeMap::new()], shard_bytes, 0);
    for (name, value) in tensors {
        let bytes = size(&value);
        total += bytes;
        if bytes > room && shards.last().is_some_and(|shard| !shard.is_empty()) {
            shards.push(BTreeMap::new());
            room = shard_bytes;
        }
        room = room.saturating_sub(bytes);
        if let Some(shard) = shards.last_mut() {
            shard.insert(name, value);
        }
    }
    if let [shard] = shards.as_slice() {
        return write_tensors(&folder.join(WEIGHTS_FILE), shard);
    }
    let mut map = BTreeMap::new();
    for (shard, number) in shards.iter().zip(1..) {
        let file = format!("model-{number:05}-of-{:05}.safetensors", shards.len());
        write_tensors(&folder.join(&file), shard)?;
        map.extend(shard.keys().map(|name| (name.clone(), file.clone())));
    }
    write_index(folder, total, &map)
}

/// Writes the list of the files in which the tensors of a large model lie, of `total` bytes together.
pub(crate) fn write_index(folder: &Path, total: usize, map: &BTreeMap<String, String>) -> Result<()> {
    let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
    write_file(&folder.join(INDEX_FILE), |file| file.write_all(format!("{index:#}\n").as_bytes()))
}

#[cfg(test)]
mod tests {
    use swift_tensor::Device;
    use tempfile::TempDir;

    use super::*;
    use crate::weights::weight_files;

    fn shards(sizes: &[usize], limit: usize) -> Vec<Vec<String>> {
        let folder = TempDir::new().unwrap();
        let value = |&size: &usize| Value::zeros(size, swift_tensor::DType::F32, &Device::Cpu).unwrap();
        let tensors = sizes.iter().enumerate().map(|(i, size)| (format!("t{i}"), value(size)));
        write_shards(folder.path(), tensors, limit).unwrap();
        let names = |file: &std::path::PathBuf| {
            let mut names: Vec<_> =
                candle_core::safetensors::load(file, &Device::Cpu).unwrap().into_keys().collect();
            names.sort();
            names
        };
        weight_files(folder.path()).unwrap().iter().map(names).collect()
    }

    #[test]
    fn weights_are_split_where_a_file_would_be_too_large() {
        assert_eq!(shards(&[2, 2, 2], 24), [["t0", "t1", "t2"]]);
        assert_eq!(shards(&[2, 2, 2], 16), [vec!["t0", "t1"], vec!["t2"]]);
        assert_eq!(shards(&[1, 9, 1, 1], 8), [vec!["t0"], vec!["t1"], vec!["t2", "t3"]]);
    }

    #[test]
    fn the_index_of_shards_names_the_file_of_each_tensor_and_the_whole_size() {
        let folder = TempDir::new().unwrap();
        let value = Value::zeros(3, swift_tensor::DType::F64, &Device::Cpu).unwrap();
        write_shards(folder.path(), ["b", "a"].map(|name| (name.into(), value.clone())).into_iter(), 24)
            .unwrap();
        let text = std::fs::read_to_string(folder.path().join(INDEX_FILE)).unwrap();
        let index: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = json!({
            "metadata": { "total_size": 48 },
            "weight_map": { "a": "model-00002-of-00002.safetensors", "b": "model-00001-of-00002.safetensors" },
        });
        assert_eq!(index, expected);
    }
}
