//! From what template plugins give to tokens.

use std::ops::Range;

use crate::encode::{Piece, tokenize};
use crate::error::{AdapterFailure, Result};
use crate::rows::Encoded;
use crate::template::{Unfit, Weigher};
use crate::tokenizer::Tokenizer;

/// What a piece of a rendered conversation is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum PieceContent {
    /// A text to be tokenised.
    Text(String),
    /// One token, by its id.
    TokenId(u32),
    /// One token, by its name in the tokeniser's configuration: `bos_token_id`.
    TokenName(String),
    /// The tokens that the tokeniser puts before every text, if it does.
    TextBegin,
    /// The tokens that the tokeniser puts after every text, if it does.
    TextEnd,
}

/// A piece of a rendered conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedPiece {
    /// What it is made of.
    pub content: PieceContent,
    /// Factor on the loss of its tokens; 0 if it is not trained on.
    pub weight: f64,
    /// For an answer: the question before it.
    pub answer_to: Option<String>,
}

/// A rendered conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// Its pieces, in order.
    pub pieces: Vec<RenderedPiece>,
    /// The text that ends an answer. Where a run of untrained tokens after an answer begins with it, it is trained on.
    pub suffix: Vec<PieceContent>,
}

impl Rendered {
    /// Cuts the answers that are trained on as `weigher` says. The factors of several rules multiply.
    ///
    /// # Errors
    /// The rule failed.
    pub fn weigh(&mut self, weigher: &mut dyn Weigher) -> Result<(), AdapterFailure> {
        let mut weighed = Vec::with_capacity(self.pieces.len());
        for piece in std::mem::take(&mut self.pieces) {
            match (&piece.content, &piece.answer_to) {
                (PieceContent::Text(answer), Some(question)) if piece.weight > 0.0 => {
                    let parts = weigher.weigh(answer, Some(question))?;
                    weighed.extend(parts.into_iter().map(|(text, factor)| RenderedPiece {
                        content: PieceContent::Text(text),
                        weight: piece.weight * factor,
                        answer_to: piece.answer_to.clone(),
                    }));
                }
                _ => weighed.push(piece),
            }
        }
        self.pieces = weighed;
        Ok(())
    }

    /// The tokens of a prompt, cut as they are in training.
    ///
    /// # Errors
    /// As [`tokenize`](Self::tokenize).
    pub fn tokenize_prompt(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>, Unfit> {
        Ok(self.tokenize(tokenizer)?.input_ids)
    }

    /// The tokens, with what each weighs in the loss.
    ///
    /// Neighbouring texts that weigh the same are joined before they are tokenised; elsewhere a border between pieces is
    /// a border between tokens. A tokeniser that ends texts by itself does so in place of the suffix.
    ///
    /// # Errors
    /// The tokeniser has no token for a part of a text, or none of the name that a piece asks for.
    pub fn tokenize(&self, tokenizer: &Tokenizer) -> Result<Encoded, Unfit> {
        let (begin, end) = tokenizer.surroundings()?;
        let piece = |content: &PieceContent, weight: f64| {
            let weight = weight as f32;
            Ok(match content {
                PieceContent::Text(text) => Piece::text(text, weight),
                PieceContent::TokenId(id) => Piece::tokens(&[*id], weight),
                PieceContent::TokenName(name) => Piece::tokens(&[named(tokenizer, name)?], weight),
                PieceContent::TextBegin => Piece::tokens(&begin, weight),
                PieceContent::TextEnd => Piece::tokens(&end, weight),
            })
        };
        let suffix = self.suffix.iter().map(|content| piece(content, 0.0));
        let suffix = tokenize(tokenizer, suffix.collect::<Result<Vec<_>, Unfit>>()?, &[])?;
        let replaced = if end.is_empty() { 0..0 } else { self.suffix_before_end() };
        let pieces = self.pieces.iter().enumerate().filter(|(index, _)| !replaced.contains(index));
        let pieces = pieces.map(|(_, part)| piece(&part.content, part.weight));
        Ok(tokenize(tokenizer, pieces.collect::<Result<Vec<_>, Unfit>>()?, &suffix.input_ids)?)
    }

    /// The pieces of a suffix right before the end.
    fn suffix_before_end(&self) -> Range<usize> {
        let Some((last, before)) = self.pieces.split_last() else { return 0..0 };
        let contents = before.iter().map(|piece| &piece.content);
        let start = before.len().saturating_sub(self.suffix.len());
        match last.content == PieceContent::TextEnd && contents.skip(start).eq(&self.suffix) {
            true => start..before.len(),
            false => 0..0,
        }
    }
}

/// The id of a token by the name that the tokeniser's configuration has for it: `bos_token_id`.
fn named(tokenizer: &Tokenizer, name: &str) -> Result<u32, Unfit> {
    let word = tokenizer.special_token(name.strip_suffix("_id").unwrap_or(name));
    let id = word.and_then(|word| tokenizer.token_id(word));
    id.ok_or_else(|| Unfit::new("the tokeniser has no token that the template needs", format!("`{name}`")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tokenizer_bos");

    fn text(text: &str, weight: f64) -> RenderedPiece {
        RenderedPiece { content: PieceContent::Text(text.into()), weight, answer_to: None }
    }

    fn piece(content: PieceContent) -> RenderedPiece {
        RenderedPiece { content, weight: 1.0, answer_to: None }
    }

    fn rendered() -> Rendered {
        Rendered {
            pieces: vec![
                piece(PieceContent::TextBegin),
                text("question", 0.0),
                RenderedPiece { answer_to: Some("question".into()), ..text("answer", 0.5) },
                text("<|im_end|>", 1.0),
                piece(PieceContent::TextEnd),
            ],
            suffix: vec![PieceContent::Text("<|im_end|>".into())],
        }
    }

    fn shown(rendered: &Rendered, tokenizer: &Tokenizer) -> (String, f32) {
        let encoded = rendered.tokenize(tokenizer).unwrap();
        (tokenizer.decode(&encoded.input_ids).unwrap(), encoded.weights.iter().sum())
    }

    #[test]
    fn the_end_that_a_tokeniser_puts_by_itself_replaces_the_suffix() {
        let begins = Tokenizer::load(Path::new(GOLDEN)).unwrap();
        let answer = begins.encode("answer").unwrap().len() as f32;
        assert_eq!(shown(&rendered(), &begins), ("<s>questionanswer<|im_end|>".into(), 0.5 * answer + 1.0));

        let folder = tempfile::tempdir().unwrap();
        let definition = std::fs::read_to_string(Path::new(GOLDEN).join("tokenizer.json")).unwrap();
        let mut definition: serde_json::Value = definition.parse().unwrap();
        let single = definition["post_processor"]["single"].as_array_mut().unwrap();
        single.rotate_left(1);
        std::fs::write(folder.path().join("tokenizer.json"), definition.to_string()).unwrap();
        let ends = Tokenizer::load(folder.path()).unwrap();
        assert_eq!(shown(&rendered(), &ends), ("questionanswer<s>".into(), 0.5 * answer + 1.0));
    }

    #[test]
    fn rules_cut_answers_that_are_trained_on_and_nothing_else() {
        struct Halves;
        impl Weigher for Halves {
            fn name(&self) -> &str {
                "halves"
            }

            fn digest(&self) -> &str {
                "sha256:0"
            }

            fn weigh(
                &mut self,
                answer: &str,
                question: Option<&str>,
            ) -> Result<Vec<(String, f64)>, AdapterFailure> {
                assert_eq!(question, Some("question"));
                let (left, right) = answer.split_at(answer.len() / 2);
                Ok(vec![(left.into(), 0.0), (right.into(), 2.0)])
            }
        }
        let mut weighed = rendered();
        weighed.weigh(&mut Halves).unwrap();
        let parts: Vec<_> = weighed.pieces.iter().map(|piece| (&piece.content, piece.weight)).collect();
        let [left, right] = ["ans", "wer"].map(|half| PieceContent::Text(half.into()));
        assert_eq!(parts[2..4], [(&left, 0.0), (&right, 1.0)]);
        assert_eq!(parts.len(), 6);
        let mut untrained = rendered();
        untrained.pieces[2].weight = 0.0;
        let before = untrained.clone();
        untrained.weigh(&mut Halves).unwrap();
        assert_eq!(untrained, before);
    }

    #[test]
    fn a_token_that_the_tokeniser_has_no_name_for_leaves_the_row_out() {
        let tokenizer = Tokenizer::load(Path::new(GOLDEN)).unwrap();
        let named =
            |name: &str| Rendered { pieces: vec![piece(PieceContent::TokenName(name.into()))], ..rendered() };
        assert_eq!(shown(&named("eos_token_id"), &tokenizer).0, "<|im_end|>");
        let error = named("user_token_id").tokenize(&tokenizer).unwrap_err();
        assert_eq!(error.to_string(), "the tokeniser has no token that the template needs: `user_token_id`");
    }
}
