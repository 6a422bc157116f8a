use crate::error::Result;
use crate::rows::Encoded;
use crate::tokenizer::Tokenizer;

/// A part of a rendered conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    content: Content,
    /// The factor on the loss of its tokens; 0 if it is not trained on.
    weight: f32,
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Text(String),
    Tokens(Vec<u32>),
}

impl Piece {
    pub(crate) fn text(text: impl Into<String>, weight: f32) -> Self {
        Self { content: Content::Text(text.into()), weight }
    }

    pub(crate) fn tokens(ids: &[u32], weight: f32) -> Self {
        Self { content: Content::Tokens(ids.to_vec()), weight }
    }

    fn is_empty(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_empty(),
            Content::Tokens(ids) => ids.is_empty(),
        }
    }
}

/// Tokenises pieces, joining texts that follow each other and weigh the same.
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
                Some(Piece { content: Content::Text(before), weight }),
                Piece { content: Content::Text(text), weight: same },
            ) if weight == same => before.push_str(text),
            _ => joined.push(piece),
        }
    }
    let mut input_ids = Vec::new();
    let mut weights: Vec<f32> = Vec::new();
    for piece in joined {
        let ids = match piece.content {
            Content::Text(text) => tokenizer.encode(&text)?,
            Content::Tokens(ids) => ids,
        };
        weights.resize(weights.len() + ids.len(), piece.weight);
        input_ids.extend(ids);
    }
    train_suffixes(&input_ids, &mut weights, suffix);
    if let Some(first) = weights.first_mut() {
        *first = 0.0;
    }
    Ok(Encoded { input_ids, weights })
}

fn train_suffixes(input_ids: &[u32], weights: &mut [f32], suffix: &[u32]) {
    let mut seen_trained = false;
    let mut start = 0;
    let runs: Vec<(usize, bool)> =
        weights.chunk_by(|left, right| (*left > 0.0) == (*right > 0.0)).map(run).collect();
    for (length, is_trained) in runs {
        let begins_with_suffix =
            input_ids.get(start..start + length).is_some_and(|run| run.starts_with(suffix));
        if seen_trained && !is_trained && begins_with_suffix {
            weights.iter_mut().skip(start).take(suffix.len()).for_each(|weight| *weight = 1.0);
        }
        seen_trained |= is_trained;
        start += length;
    }
}

/// Length of a run of tokens, and whether they are trained on.
fn run(weights: &[f32]) -> (usize, bool) {
    (weights.len(), weights.first().is_some_and(|weight| *weight > 0.0))
}
