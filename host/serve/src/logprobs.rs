//! Log-probabilities in the shapes of OpenAI and vLLM.

use serde_json::{Map, Value, json};
use swift_infer::TokenLogprobs;

use crate::error::Result;
use crate::words::Words;

/// The shape of chat: `content` of `choices[].logprobs`.
pub(crate) fn of_chat(words: &Words, logprobs: &[TokenLogprobs]) -> Result<Vec<Value>> {
    let entry = |token: u32, logprob: f32| -> Result<Value> {
        let word = words.word(token)?;
        let bytes = words.part(token, &word).unwrap_or(word.as_bytes());
        Ok(json!({ "token": word, "logprob": finite(logprob), "bytes": bytes }))
    };
    let entries = logprobs.iter().map(|position| {
        let mut shown = entry(position.token, position.logprob)?;
        let top = position.top.iter().map(|(token, logprob)| entry(*token, *logprob));
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("top_logprobs".into(), top.collect::<Result<Value>>()?);
        }
        Ok(shown)
    });
    entries.collect()
}

/// The shape of completions: lists that go together.
#[derive(Default)]
pub(crate) struct Lists {
    tokens: Vec<Value>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<Value>,
}

impl Lists {
    /// Adds a token that nothing is known of: a prompt's first. `offset` counts the characters so far.
    pub(crate) fn add_first(&mut self, words: &Words, token: u32, offset: &mut usize) -> Result<()> {
        let word = name(words, token)?;
        self.text_offset.push((*offset).into());
        *offset += words.characters(token)?;
        self.tokens.push(word.into());
        self.token_logprobs.push(Value::Null);
        self.top_logprobs.push(Value::Null);
        Ok(())
    }

    pub(crate) fn add(
        &mut self,
        words: &Words,
        logprobs: &[TokenLogprobs],
        offset: &mut usize,
    ) -> Result<()> {
        for position in logprobs {
            let word = name(words, position.token)?;
            let mut top = Map::new();
            for (token, logprob) in position.top.iter().chain([&(position.token, position.logprob)]) {
                top.entry(name(words, *token)?).or_insert(finite(*logprob));
            }
            self.text_offset.push((*offset).into());
            *offset += words.characters(position.token)?;
            self.tokens.push(word.into());
            self.token_logprobs.push(finite(position.logprob));
            self.top_logprobs.push(top.into());
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.tokens.extend(other.tokens);
        self.token_logprobs.extend(other.token_logprobs);
        self.top_logprobs.extend(other.top_logprobs);
        self.text_offset.extend(other.text_offset);
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "tokens": self.tokens,
            "token_logprobs": self.token_logprobs,
            "top_logprobs": self.top_logprobs,
            "text_offset": self.text_offset,
        })
    }
}

/// The text of a token; of one that is part of a character its bytes, as OpenAI names them in completions, so that different ones
/// have different names.
fn name(words: &Words, token: u32) -> Result<String> {
    let word = words.word(token)?;
    Ok(match words.part(token, &word) {
        Some(bytes) => {
            let digits = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
            format!("bytes:{}", digits.collect::<String>())
        }
        None => word,
    })
}

/// vLLM's `prompt_logprobs`: an object by token id for each token of the prompt, `null` for the first.
pub(crate) fn of_prompt(words: &Words, logprobs: &[TokenLogprobs]) -> Result<Value> {
    let position = |position: &TokenLogprobs| -> Result<Value> {
        let mut by_id = Map::new();
        let own = (position.token, position.logprob, position.rank);
        let top = (1..).zip(&position.top).map(|(rank, (token, logprob))| (*token, *logprob, rank));
        for (token, logprob, rank) in [own].into_iter().chain(top) {
            let shown =
                json!({ "logprob": finite(logprob), "rank": rank, "decoded_token": words.word(token)? });
            by_id.entry(token.to_string()).or_insert(shown);
        }
        Ok(by_id.into())
    };
    [Ok(Value::Null)].into_iter().chain(logprobs.iter().map(position)).collect()
}

/// JSON has no infinity; OpenAI gives -9999 for tokens that are out of the question.
fn finite(logprob: f32) -> Value {
    f64::from(logprob.max(-9999.0)).into()
}
