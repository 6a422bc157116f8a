use std::path::Path;

use serde_json::Value;

use crate::{Error, Result, SamplingOptions};

/// What a model's folder says of generation: the tokens that end an answer, and how its authors want tokens chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// Tokens with which the model says that it is done.
    pub ends: Vec<u32>,
    /// How tokens are chosen where a request does not say.
    pub sampling: SamplingOptions,
    /// The most tokens that the model can see, `max_position_embeddings`.
    pub context_length: Option<usize>,
}

impl GenerationConfig {
    /// Reads `generation_config.json`, if there is one, and what `config.json` has of the same.
    ///
    /// # Errors
    /// If a file is not JSON.
    pub fn read(folder: &Path) -> Result<Self> {
        let config = read(&folder.join("config.json"))?;
        let generation = read(&folder.join("generation_config.json"))?;
        let ends = [&generation, &config].into_iter().map(|file| token_ids(file.get("eos_token_id")));
        let number = |name: &str| generation.get(name).and_then(Value::as_f64);
        let plain = SamplingOptions::default();
        // transformers reads its own settings of sampling only where sampling is on.
        let samples = generation.get("do_sample").and_then(Value::as_bool).unwrap_or(false);
        let sampling = match samples {
            false => plain,
            true => SamplingOptions {
                temperature: number("temperature").unwrap_or(plain.temperature),
                top_k: number("top_k").map(|count| count as u32).filter(|count| *count > 0),
                top_p: number("top_p").unwrap_or(plain.top_p),
                min_p: number("min_p").unwrap_or(plain.min_p),
                repetition_penalty: number("repetition_penalty").unwrap_or(plain.repetition_penalty),
                ..plain
            },
        };
        let context_length =
            config.get("max_position_embeddings").and_then(Value::as_u64).map(|length| length as usize);
        Ok(Self {
            ends: ends.into_iter().find(|ends| !ends.is_empty()).unwrap_or_default(),
            sampling,
            context_length,
        })
    }
}

/// A number or several.
fn token_ids(value: Option<&Value>) -> Vec<u32> {
    let Some(value) = value else { return Vec::new() };
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()).collect()
}

/// A JSON file, or `null` if there is none.
fn read(path: &Path) -> Result<Value> {
    let failed = |message: String| Error::File { path: path.to_owned(), message };
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| failed(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(failed(error.to_string())),
    }
}
