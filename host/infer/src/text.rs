//! The text of an answer while it grows.

use swift_data::Tokenizer;

use crate::{Request, Result};

/// What a tokeniser's decoder puts where bytes make no character yet.
const INCOMPLETE: char = '\u{fffd}';

/// Text of tokens that come one by one. Only text that later tokens can't change is given out: a token may hold a part of a
/// character, and a text that might become one that stops is held back.
pub(crate) struct TextStream {
    tokenizer: Option<Tokenizer>,
    skip_special_tokens: bool,
    stops: Vec<String>,
    tokens: Vec<u32>,
    /// Tokens from here on are decoded again, since a decoder may treat the first token of a text differently.
    prefix: usize,
    /// Tokens up to here have been turned into text.
    read: usize,
    /// Text that is not given out yet.
    held: String,
}

/// The stream of an answer to this request.
pub(crate) fn text_stream(tokenizer: Option<&Tokenizer>, request: &Request) -> TextStream {
    TextStream::new(tokenizer.cloned(), request.skip_special_tokens, request.stop.strings.clone())
}

/// What a token brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// Text that is certain now.
    pub(crate) text: String,
    /// The text that stops, if one was completed.
    pub(crate) stopped: Option<String>,
}

impl TextStream {
    /// Without a tokeniser there is no text, and nothing stops.
    pub(crate) fn new(tokenizer: Option<Tokenizer>, skip_special_tokens: bool, stops: Vec<String>) -> Self {
        let (tokens, held) = (Vec::new(), String::new());
        Self { tokenizer, skip_special_tokens, stops, tokens, prefix: 0, read: 0, held }
    }

    /// Adds a token. `may_stop` says whether texts that stop count already.
    pub(crate) fn push(&mut self, token: u32, may_stop: bool) -> Result<Text> {
        let Some(tokenizer) = &self.tokenizer else { return Ok(Text { text: String::new(), stopped: None }) };
        self.tokens.push(token);
        let decode = |from: usize, to: usize| match self.tokens.get(from..to) {
            Some(tokens) => tokenizer.text(tokens, self.skip_special_tokens),
            None => Ok(String::new()),
        };
        let before = decode(self.prefix, self.read)?;
        let now = decode(self.prefix, self.tokens.len())?;
        let start = self.held.len();
        if now.len() > before.len() && !now.ends_with(INCOMPLETE) {
            self.held.push_str(now.get(before.len()..).unwrap_or_default());
            (self.prefix, self.read) = (self.read, self.tokens.len());
        }
        if may_stop && let Some((at, stop)) = self.find(start) {
            self.held.truncate(at);
            return Ok(Text { text: std::mem::take(&mut self.held), stopped: Some(stop) });
        }
        let keep = self.beginning_of_stop();
        let rest = self.held.split_off(self.held.len() - keep);
        Ok(Text { text: std::mem::replace(&mut self.held, rest), stopped: None })
    }

    /// What is left when the answer has ended without a text that stops.
    pub(crate) fn finish(&mut self) -> Result<String> {
        if let Some(tokenizer) = &self.tokenizer {
            let rest = self.tokens.get(self.prefix..).unwrap_or_default();
            let read = self.tokens.get(self.prefix..self.read).unwrap_or_default();
            let before = tokenizer.text(read, self.skip_special_tokens)?;
            let now = tokenizer.text(rest, self.skip_special_tokens)?;
            self.held.push_str(now.get(before.len()..).unwrap_or_default());
            self.read = self.tokens.len();
        }
        Ok(std::mem::take(&mut self.held))
    }

    /// The first text that stops and ends after `start`.
    fn find(&self, start: usize) -> Option<(usize, String)> {
        let ends_late = |stop: &&String| {
            let from = floor(&self.held, start.saturating_sub(stop.len()));
            self.held.get(from..)?.find(stop.as_str()).map(|at| (from + at, (*stop).clone()))
        };
        self.stops.iter().filter_map(|stop| ends_late(&stop)).min_by_key(|(at, _)| *at)
    }

    /// Bytes at the end that may be the beginning of a text that stops.
    fn beginning_of_stop(&self) -> usize {
        let overlap = |stop: &String| {
            let longest = (stop.len() - 1).min(self.held.len());
            (1..=longest).rev().find(|&count| {
                stop.is_char_boundary(count)
                    && stop.get(..count).is_some_and(|part| self.held.ends_with(part))
            })
        };
        self.stops.iter().filter_map(overlap).max().unwrap_or(0)
    }
}

/// The last boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
