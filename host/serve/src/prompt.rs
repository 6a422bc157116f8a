//! Prompts as text, texts, tokens or lists of tokens.

use serde_json::Value;

use crate::app::App;
use crate::error::{ApiError, Result};
use crate::fields::{Field as _, Fields};

/// The most prompts in a request.
const MOST_PROMPTS: usize = 2048;

const KIND: &str = "must be a text, a list of texts, a list of token ids, or a list of such lists";

/// Leaves the last tokens of each prompt, if only so many count.
pub(crate) fn truncate(prompts: &mut [Vec<u32>], count: Option<usize>) {
    for prompt in prompts {
        let first = prompt.len().saturating_sub(count.unwrap_or(usize::MAX));
        prompt.drain(..first);
    }
}

/// The prompts of the field `name`, as token ids. Texts have the beginning and the end that the tokeniser adds, unless
/// `add_special_tokens` is false.
pub(crate) fn prompts(fields: &mut Fields, name: &str, app: &App) -> Result<Vec<Vec<u32>>> {
    let wrong = || ApiError::field(name, KIND);
    let items = match fields.need::<Value>(name)? {
        Value::Array(items) if items.first().is_some_and(Value::is_number) => vec![Value::Array(items)],
        Value::Array(items) => items,
        text @ Value::String(_) => vec![text],
        _ => return Err(wrong()),
    };
    if items.is_empty() || items.len() > MOST_PROMPTS {
        let rule = format!("must have from 1 to {MOST_PROMPTS} prompts");
        return Err(ApiError::field(name, &rule));
    }
    let all_texts = items.iter().all(Value::is_string);
    let whole = fields.take("add_special_tokens")?.unwrap_or(true);
    let tokens = |item: Value| match item {
        Value::String(text) if all_texts => encode(name, &text, whole, app),
        Value::Array(ids) => Vec::<u32>::from_value(Value::Array(ids)).ok_or_else(wrong),
        _ => Err(wrong()),
    };
    items.into_iter().map(tokens).collect()
}

/// The tokens of a text, with what the tokeniser adds to a whole one.
fn encode(name: &str, text: &str, whole: bool, app: &App) -> Result<Vec<u32>> {
    let Some(tokenizer) = &app.tokenizer else {
        let rule = "must be token ids, as the model's folder has no tokeniser";
        return Err(ApiError::field(name, rule));
    };
    // No token is longer than this in any tokeniser of note, so what is far too long is not tokenised first.
    let most = app.context_length.saturating_mul(128);
    if text.len() > most {
        let message = format!("The prompt has {} bytes, more than {most}", text.len());
        return Err(ApiError { code: Some("context_length_exceeded"), ..ApiError::invalid(message) });
    }
    let ids = if whole { tokenizer.encode_whole(text) } else { tokenizer.encode(text) };
    ids.map_err(|error| ApiError::field(name, &format!("cannot be tokenised: {error}")))
}
