use crate::error::Result;
use crate::rows::{Encoded, IGNORED};
use crate::tokenizer::Tokenizer;

/// A part of a rendered conversation, trained on or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    content: Content,
    trained: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Text(String),
    Tokens(Vec<u32>),
}

impl Piece {
    pub(crate) fn text(text: impl Into<String>, trained: bool) -> Self {
        Self { content: Content::Text(text.into()), trained }
    }

    pub(crate) fn tokens(ids: &[u32], trained: bool) -> Self {
        Self { content: Content::Tokens(ids.to_vec()), trained }
    }

    fn is_empty(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_empty(),
            Content::Tokens(ids) => ids.is_empty(),
        }
    }
}

/// Tokenises pieces, joining texts that follow each other and are both trained on or both not.
///
/// Where a run of tokens between two trained ones, or after the last of them, begins with `suffix`, that beginning is
/// trained on as well: so earlier answers learn to stop, too. The first token is never trained on, having nothing before it
/// to be predicted from.
pub(crate) fn tokenize(
    tokenizer: &Tokenizer,
    pieces: impl IntoIterator<Item = Piece>,
    suffix: &[u32],
) -> Result<Encoded> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        match (joined.last_mut(), &piece) {
            (
                Some(Piece { content: Content::Text(before), trained }),
                Piece { content: Content::Text(text), trained: same },
            ) if trained == same => before.push_str(text),
            _ => joined.push(piece),
        }
    }
    let mut input_ids = Vec::new();
    let mut trained = Vec::new();
    for piece in joined {
        let ids = match piece.content {
            Content::Text(text) => tokenizer.encode(&text)?,
            Content::Tokens(ids) => ids,
        };
        trained.resize(trained.len() + ids.len(), piece.trained);
        input_ids.extend(ids);
    }
    train_suffixes(&input_ids, &mut trained, suffix);
    if let Some(first) = trained.first_mut() {
        *first = false;
    }
    let labels =
        input_ids.iter().zip(trained).map(|(id, trained)| if trained { i64::from(*id) } else { IGNORED });
    let labels = labels.collect();
    Ok(Encoded { input_ids, labels })
}

fn train_suffixes(input_ids: &[u32], trained: &mut [bool], suffix: &[u32]) {
    let mut seen_trained = false;
    let mut start = 0;
    let runs: Vec<(usize, bool)> = trained.chunk_by(|left, right| left == right).map(run).collect();
    for (length, is_trained) in runs {
        let begins_with_suffix =
            input_ids.get(start..start + length).is_some_and(|run| run.starts_with(suffix));
        if seen_trained && !is_trained && begins_with_suffix {
            trained.iter_mut().skip(start).take(suffix.len()).for_each(|token| *token = true);
        }
        seen_trained |= is_trained;
        start += length;
    }
}

/// Length and value of a run of equal values.
fn run(values: &[bool]) -> (usize, bool) {
    (values.len(), values.first().copied().unwrap_or_default())
}
