//! The text of an answer while it grows.

use swift_data::Tokenizer;

use crate::{Request, Result};

/// What a tokeniser's decoder puts where bytes make no character yet.
const INCOMPLETE: char = char::REPLACEMENT_CHARACTER;

/// Text of tokens that come one by one. Only text that later tokens can't change is given out: a token may hold a part of a
/// character, and a text that might become one that stops is held back.
pub(crate) struct TextStream {
    tokenizer: Option<Tokenizer>,
    skip_special_tokens: bool,
    stops: Vec<String>,
    /// Whether the text that stops is given out, too.
    shows_stop: bool,
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
    let stream =
        TextStream::new(tokenizer.cloned(), request.skip_special_tokens, request.stop.strings.clone());
    TextStream { shows_stop: request.stop.include_in_output, ..stream }
}

/// The text of a whole answer. `ends` are the tokens with which the model says that it is done.
pub(crate) fn whole_text(
    tokenizer: Option<&Tokenizer>,
    request: &Request,
    ends: &[u32],
    answer: &[u32],
) -> Result<String> {
    let Some(tokenizer) = tokenizer else { return Ok(String::new()) };
    let shown = match answer.split_last() {
        Some((last, rest)) if !request.shows(request.stop.at(*last, ends).as_ref()) => rest,
        _ => answer,
    };
    Ok(tokenizer.text(shown, request.skip_special_tokens)?)
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
        Self { tokenizer, skip_special_tokens, stops, shows_stop: false, tokens, prefix: 0, read: 0, held }
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
            self.held.truncate(if self.shows_stop { at + stop.len() } else { at });
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tokenizer() -> Tokenizer {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tokenizer");
        Tokenizer::load(Path::new(folder)).unwrap()
    }

    fn stream(stops: &[&str]) -> TextStream {
        TextStream::new(Some(tokenizer()), true, stops.iter().map(|&stop| stop.to_owned()).collect())
    }

    /// What each token of a text brings, until one stops, and what is left.
    fn given(stream: &mut TextStream, text: &str) -> (Vec<String>, Option<String>, String) {
        let mut brought = Vec::new();
        for token in tokenizer().encode(text).unwrap() {
            let Text { text, stopped } = stream.push(token, true).unwrap();
            brought.push(text);
            if stopped.is_some() {
                return (brought, stopped, String::new());
            }
        }
        (brought, None, stream.finish().unwrap())
    }

    #[test]
    fn a_character_is_given_out_whole_when_its_last_token_has_come() {
        for character in ["é", "日", "🙂"] {
            let count = tokenizer().encode(character).unwrap().len();
            assert!(count > 1, "{character} is one token");
            let (brought, stopped, rest) = given(&mut stream(&[]), character);
            let mut expected = vec![String::new(); count - 1];
            expected.push(character.to_owned());
            assert_eq!((brought, stopped, rest.as_str()), (expected, None, ""));
        }
        let text = "so é, 日本 and 🙂🙂 are it";
        let (brought, _, rest) = given(&mut stream(&[]), text);
        assert!(brought.iter().all(|part| !part.contains(INCOMPLETE)), "{brought:?}");
        assert_eq!((brought.concat().as_str(), rest.as_str()), (text, ""));
    }

    #[test]
    fn a_character_that_is_never_completed_is_marked_at_the_end() {
        let tokens = tokenizer().encode("a🙂").unwrap();
        let mut stream = stream(&[]);
        let (_, begun) = tokens.split_last().unwrap();
        let brought: String = begun.iter().map(|token| stream.push(*token, true).unwrap().text).collect();
        assert_eq!(brought, "a");
        let rest = stream.finish().unwrap();
        assert!(!rest.is_empty() && rest.chars().all(|character| character == INCOMPLETE), "{rest}");
    }

    #[test]
    fn a_text_that_stops_is_found_across_tokens_and_not_given_out() {
        let text = "a copper kettle. Once upon";
        let stop = "ttle. On";
        let (brought, stopped, _) = given(&mut stream(&[stop]), text);
        assert_eq!((brought.concat().as_str(), stopped.as_deref()), ("a copper ke", Some(stop)));
        // It ends before the text does, and begins inside of one token and ends inside of another.
        let ends = |text: &str| tokenizer().encode(text).unwrap().len();
        assert!(brought.len() < ends(text) && ends(" kettle") == 1 && ends(" Once") > 1);
    }

    #[test]
    fn a_text_that_stops_is_given_out_if_it_is_to_be_shown() {
        let mut stream = TextStream { shows_stop: true, ..stream(&["ttle. On"]) };
        let (brought, stopped, _) = given(&mut stream, "a copper kettle. Once upon");
        assert_eq!(
            (brought.concat().as_str(), stopped.as_deref()),
            ("a copper kettle. On", Some("ttle. On"))
        );
    }

    #[test]
    fn the_stop_that_begins_first_wins() {
        let (brought, stopped, _) =
            given(&mut stream(&["kettle.", "copper kettle"]), "a copper kettle. Once");
        assert_eq!((brought.concat().as_str(), stopped.as_deref()), ("a ", Some("copper kettle")));
    }

    #[test]
    fn what_might_become_a_stop_is_held_back_until_it_is_none() {
        let (brought, stopped, rest) = given(&mut stream(&[" kettle!"]), "a copper kettle. Once");
        let held = brought.iter().position(|part| part == " kettle.").unwrap();
        assert_eq!((brought[held - 1].as_str(), stopped), ("", None));
        assert_eq!(brought.concat() + &rest, "a copper kettle. Once");
        // At the end of the answer nothing can come of it any more.
        let (brought, stopped, rest) = given(&mut stream(&[" kettle!"]), "a copper kettle");
        assert_eq!((brought.concat().as_str(), stopped, rest.as_str()), ("a copper", None, " kettle"));
        // A stop in the middle of a character's bytes would be none.
        let (brought, stopped, rest) = given(&mut stream(&["🙂!"]), "a🙂🙂?");
        assert_eq!((brought.concat() + &rest, stopped), ("a🙂🙂?".to_owned(), None));
    }

    #[test]
    fn a_stop_does_not_count_before_it_may() {
        let mut stream = stream(&["copper"]);
        let mut text = String::new();
        for token in tokenizer().encode("a copper").unwrap() {
            let brought = stream.push(token, false).unwrap();
            assert_eq!(brought.stopped, None);
            text += &brought.text;
        }
        assert_eq!(text + &stream.finish().unwrap(), "a copper");
        let (_, stopped, _) = given(&mut stream, " is no copper");
        assert_eq!(stopped.as_deref(), Some("copper"));
    }

    #[test]
    fn special_tokens_are_skipped_or_given_out() {
        let text = "so<|im_end|> it<|im_end|>";
        for (skips, expected) in [(true, "so it"), (false, text)] {
            let mut stream = TextStream::new(Some(tokenizer()), skips, Vec::new());
            let (brought, stopped, rest) = given(&mut stream, text);
            assert_eq!((brought.concat() + &rest, stopped), (expected.to_owned(), None));
        }
        // A stop spans a special token that is skipped, and cannot name it.
        let (brought, stopped, _) = given(&mut stream(&["o i", "<|im_end|>"]), text);
        assert_eq!((brought.concat().as_str(), stopped.as_deref()), ("s", Some("o i")));
    }

    #[test]
    fn without_a_tokeniser_there_is_no_text_and_nothing_stops() {
        let mut stream = TextStream::new(None, true, vec!["a".into()]);
        assert_eq!(stream.push(7, true).unwrap(), Text { text: String::new(), stopped: None });
        assert_eq!(stream.finish().unwrap(), "");
    }
}
