//! The texts of single tokens, for `logprobs` and the like.

use std::sync::Arc;

use axum::http::StatusCode;
use swift_data::Tokenizer;
use swift_infer::Grammars;

use crate::app::App;
use crate::error::{ApiError, Result};

/// What knows the texts of tokens.
#[derive(Clone)]
pub(crate) struct Words {
    pub(crate) tokenizer: Option<Tokenizer>,
    /// What knows the bytes of tokens.
    grammars: Option<Arc<Grammars>>,
}

impl Words {
    pub(crate) fn of(app: &App) -> Self {
        Self { tokenizer: app.tokenizer.clone(), grammars: app.grammars.clone() }
    }

    /// The bytes of a token that is no text by itself, but part of a character.
    pub(crate) fn part(&self, token: u32, word: &str) -> Option<&[u8]> {
        self.grammars.as_deref().filter(|_| word.contains(char::REPLACEMENT_CHARACTER))?.token_bytes(token)
    }

    /// Characters that begin in a token.
    pub(crate) fn characters(&self, token: u32) -> Result<usize> {
        if self.tokenizer.is_none() {
            return Ok(0);
        }
        let word = self.word(token)?;
        let bytes = self.part(token, &word).unwrap_or(word.as_bytes());
        // All bytes of a character but the first are of this form in UTF-8.
        Ok(bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count())
    }

    /// The text of one token; vLLM's `token_id:7` where there is no tokeniser.
    pub(crate) fn word(&self, token: u32) -> Result<String> {
        match &self.tokenizer {
            None => Ok(format!("token_id:{token}")),
            Some(tokenizer) => tokenizer
                .text(&[token], false)
                .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    }
}
