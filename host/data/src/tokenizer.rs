use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::digest::digest;
use crate::error::{Error, Result};

/// The tokeniser of a Hugging Face model folder. Cheap to clone, shared between threads.
#[derive(Clone, Debug)]
pub struct Tokenizer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokens: tokenizers::Tokenizer,
    special: Vec<(&'static str, String)>,
    chat_template: Option<String>,
    digest: String,
}

/// Special tokens that templates refer to by name.
const NAMED: [&str; 4] = ["bos_token", "eos_token", "pad_token", "unk_token"];

/// Words whose tokens each thread that tokenises keeps; none of 256 bytes or more is kept. The library's own 10 000 are up to 80 MiB
/// a thread where a text is one word, as with SentencePiece. With these, prose takes as long, and code up to a fifth longer.
const KEPT_WORDS: usize = 1024;

impl Tokenizer {
    /// Reads `tokenizer.json`, and if they are there `tokenizer_config.json` and `chat_template.jinja`.
    ///
    /// Truncation and padding that `tokenizer.json` may ask for are left out: lengths are the run's business.
    ///
    /// # Errors
    /// There is no `tokenizer.json`, or one of the files is not valid.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            return Err(Error::TokenizerMissing(folder.into()));
        }
        let definition = std::fs::read(&path).map_err(Error::read(&path))?;
        let invalid = |message: String| Error::TokenizerFile { path: path.clone(), message };
        let mut tokens =
            tokenizers::Tokenizer::from_bytes(&definition).map_err(|error| invalid(error.to_string()))?;
        let mut model = tokens.get_model().clone();
        model.resize_cache(KEPT_WORDS);
        tokens.with_model(model);
        tokens.with_padding(None);
        tokens.with_truncation(None).map_err(|error| invalid(error.to_string()))?;

        let config = read_optional(&folder.join("tokenizer_config.json"))?;
        let settings: Value = match &config {
            None => Value::Null,
            Some(text) => serde_json::from_str(text).map_err(|error| Error::TokenizerFile {
                path: folder.join("tokenizer_config.json"),
                message: error.to_string(),
            })?,
        };
        let template = read_optional(&folder.join("chat_template.jinja"))?;
        let digest = digest([
            &*definition,
            config.unwrap_or_default().as_bytes(),
            template.as_deref().unwrap_or("").as_bytes(),
        ]);
        Ok(Self(Arc::new(Inner {
            tokens,
            special: NAMED
                .into_iter()
                .filter_map(|name| Some((name, token_text(settings.get(name)?)?.to_owned())))
                .collect(),
            chat_template: template
                .or_else(|| Some(default_template(settings.get("chat_template")?)?.to_owned())),
            digest,
        })))
    }

    /// Token ids of a text as it stands, without a beginning or end that the tokeniser would add by itself. The strings
    /// of special tokens become those tokens.
    ///
    /// # Errors
    /// The tokeniser has no token for a part of the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, false)
    }

    /// Token ids of a text with the beginning and end that the tokeniser adds by itself, as models read plain texts.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_whole(&self, text: &str) -> Result<Vec<u32>> {
        self.ids(text, true)
    }

    /// The text of token ids, special tokens included.
    ///
    /// # Errors
    /// The tokeniser's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.0.tokens.decode(ids, false).map_err(|error| Error::Tokenize(error.to_string()))
    }

    /// The text of token ids, special tokens only if they are not skipped.
    ///
    /// # Errors
    /// The tokeniser's decoder fails.
    pub fn text(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        self.0.tokens.decode(ids, skip_special_tokens).map_err(|error| Error::Tokenize(error.to_string()))
    }

    /// The id of a token given by its text.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.0.tokens.token_to_id(token)
    }

    /// The text of a special token by its name in `tokenizer_config.json`: `bos_token`, `eos_token`, `pad_token` or
    /// `unk_token`.
    pub fn special_token(&self, name: &str) -> Option<&str> {
        self.0.special.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str())
    }

    /// The model's own chat template, as Jinja.
    pub fn chat_template(&self) -> Option<&str> {
        self.0.chat_template.as_deref()
    }

    /// Digest of the files read.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// The tokens that the tokeniser puts before and after a text by itself.
    pub(crate) fn surroundings(&self) -> Result<(Vec<u32>, Vec<u32>)> {
        let bare = self.ids("a", false)?;
        let whole = self.ids("a", true)?;
        let start = whole.windows(bare.len().max(1)).position(|window| window == bare).unwrap_or(0);
        let end = start + bare.len();
        Ok((whole.iter().take(start).copied().collect(), whole.into_iter().skip(end).collect()))
    }

    /// Where each token of a text ends, in bytes.
    pub(crate) fn token_ends(&self, text: &str) -> Result<Vec<usize>> {
        let encoding =
            self.0.tokens.encode(text, false).map_err(|error| Error::Tokenize(error.to_string()))?;
        Ok(encoding.get_offsets().iter().map(|(_, end)| *end).collect())
    }

    pub(crate) fn tokens(&self) -> &tokenizers::Tokenizer {
        &self.0.tokens
    }

    pub(crate) fn special_tokens(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.special.iter().map(|(name, text)| (*name, text.as_str()))
    }

    fn ids(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        let encoding = self.0.tokens.encode_fast(text, add_special_tokens);
        Ok(encoding.map_err(|error| Error::Tokenize(error.to_string()))?.get_ids().to_vec())
    }
}

fn read_optional(path: &Path) -> Result<Option<String>> {
    if path.exists() { std::fs::read_to_string(path).map(Some).map_err(Error::read(path)) } else { Ok(None) }
}

/// A special token stands as a string or as an object with its `content`.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

/// The chat template, or of several named ones the `default`.
fn default_template(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| {
        let named = value
            .as_array()?
            .iter()
            .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"));
        named?.get("template")?.as_str()
    })
}
