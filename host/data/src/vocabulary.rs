//! What the tokens of a vocabulary stand for.

use std::collections::HashMap;

use serde_json::Value;

use crate::{Error, Result, Tokenizer};

/// What a token stands for in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenText {
    /// These bytes, which need not be whole characters.
    Bytes(Vec<u8>),
    /// Nothing that is written: a special token, by its name.
    Special(String),
}

/// How the names of tokens stand for bytes, which is what decoders undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// Each byte is a character (Radford et al. 2019, GPT-2).
    ByteLevel,
    /// Text as it is but for spaces, with `<0x0A>` for bytes (Kudo and Richardson 2018, SentencePiece).
    ByteFallback,
}

/// What SentencePiece writes for a space.
const SPACE: char = '\u{2581}';

impl Tokenizer {
    /// What each token stands for, by its id; none for ids that are not used.
    ///
    /// # Errors
    /// The tokeniser's decoder is neither that of bytes as characters nor that of SentencePiece.
    pub fn vocabulary(&self) -> Result<Vec<Option<TokenText>>> {
        let tokens = self.tokens();
        let failed = |message: &str| Error::Tokenize(message.to_owned());
        let decoder = serde_json::to_value(tokens.get_decoder())
            .map_err(|error| failed(&format!("its decoder can't be read: {error}")))?;
        let spelling = if has_type(&decoder, "ByteLevel") {
            Spelling::ByteLevel
        } else if has_type(&decoder, "ByteFallback") || has_type(&decoder, "Metaspace") {
            Spelling::ByteFallback
        } else {
            return Err(failed("its decoder does not say which bytes a token stands for"));
        };
        let characters = byte_characters();
        let added = tokens.get_added_tokens_decoder();
        let text = |(name, id): (String, u32)| {
            let text = match added.get(&id) {
                Some(token) if token.special => TokenText::Special(name),
                Some(_) => TokenText::Bytes(name.into_bytes()),
                None => match bytes(&name, spelling, &characters) {
                    Some(bytes) => TokenText::Bytes(bytes),
                    // Such a token does not come out of the tokeniser, so nothing is lost.
                    None => TokenText::Special(name),
                },
            };
            (id, text)
        };
        let mut vocabulary = Vec::new();
        for (id, text) in tokens.get_vocab(true).into_iter().map(text) {
            let place = id as usize;
            if vocabulary.len() <= place {
                vocabulary.resize(place + 1, None);
            }
            if let Some(entry) = vocabulary.get_mut(place) {
                *entry = Some(text);
            }
        }
        Ok(vocabulary)
    }
}

/// Whether a decoder, or one of those that it is made of, is of this type.
fn has_type(decoder: &Value, name: &str) -> bool {
    let parts = decoder.get("decoders").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    decoder.get("type").and_then(Value::as_str) == Some(name) || parts.iter().any(|part| has_type(part, name))
}

fn bytes(name: &str, spelling: Spelling, characters: &HashMap<char, u8>) -> Option<Vec<u8>> {
    match spelling {
        Spelling::ByteLevel => name.chars().map(|character| characters.get(&character).copied()).collect(),
        Spelling::ByteFallback => {
            let digits = name.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            let byte = digits.filter(|digits| digits.len() == 2);
            match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => Some(vec![byte]),
                None => Some(name.replace(SPACE, " ").into_bytes()),
            }
        }
    }
}

/// The characters that stand for bytes: printable ones of Latin-1 for themselves, those from 256 on for the others.
fn byte_characters() -> HashMap<char, u8> {
    let is_itself = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
    let others = (0x100..).filter_map(char::from_u32).zip((0..=u8::MAX).filter(|byte| !is_itself(byte)));
    (0..=u8::MAX).filter(is_itself).map(|byte| (char::from(byte), byte)).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_bytes_of_the_tokens_of_a_text_are_the_text() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tiny-qwen2"));
        let tokenizer = Tokenizer::load(folder).unwrap();
        let vocabulary = tokenizer.vocabulary().unwrap();
        let text = "{\"a\": [1, \"\u{e4}\u{1f600}\\n\"]}\n\t <tool_call>";
        let bytes =
            tokenizer.encode(text).unwrap().into_iter().flat_map(|id| match &vocabulary[id as usize] {
                Some(TokenText::Bytes(bytes)) => bytes.clone(),
                other => panic!("{id} is {other:?}"),
            });
        assert_eq!(String::from_utf8(bytes.collect()).unwrap(), text);
        let end = tokenizer.token_id("<|im_end|>").unwrap();
        assert_eq!(vocabulary[end as usize], Some(TokenText::Special("<|im_end|>".into())));
    }

    #[test]
    fn sentencepiece_spells_spaces_and_bytes() {
        let read = |name| bytes(name, Spelling::ByteFallback, &HashMap::new()).unwrap();
        assert_eq!(read("\u{2581}a"), b" a");
        assert_eq!(read("<0x0A>"), b"\n");
        assert_eq!(read("<0xZZ>"), b"<0xZZ>");
    }

    #[test]
    fn every_byte_has_a_character() {
        let characters = byte_characters();
        assert_eq!(characters.len(), 256);
        assert_eq!((characters[&'\u{120}'], characters[&'\u{10a}'], characters[&'a']), (b' ', b'\n', b'a'));
    }
}
