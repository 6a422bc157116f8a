//! Tiles of logits.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::TokenLogpsInputs;
use crate::element::load_into;
use crate::matrix::{Matrix, Workers, multiply};
use crate::{CHUNK, Element, Float, KernelError};

/// Tokens of a chunk.
pub(super) const TOKENS: usize = 512;
/// Vocabulary entries of a tile, at most: 8 MiB of logits as `f32`.
const ENTRIES: usize = 4096;
/// Elements of a converted tile of the weight: 16 MiB of `f32`.
const WEIGHTS: usize = 1 << 22;
/// Vocabulary entries of a tile, at least.
const FEWEST: usize = 64;

/// Tiles of the vocabulary.
pub(super) fn tiles<T: Element>(
    inputs: &TokenLogpsInputs<'_, T>,
) -> impl Iterator<Item = Range<usize>> + use<T> {
    let (vocab, size) = (inputs.vocab(), (WEIGHTS / inputs.width).clamp(FEWEST, ENTRIES));
    (0..vocab).step_by(size).map(move |first| first..vocab.min(first + size))
}

/// The rows `range` of `x`, each of `width`, to compute with; converted only if they need to be.
pub(super) fn rows<'a, T: Element>(x: &'a [T], range: &Range<usize>, width: usize) -> Cow<'a, [T::Compute]> {
    let x = x.get(range.start * width..range.end * width).unwrap_or_default();
    if let Some(x) = T::as_compute(x) {
        return Cow::Borrowed(x);
    }
    let mut converted = vec![T::Compute::ZERO; x.len()];
    converted.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(into, from)| load_into(from, into));
    Cow::Owned(converted)
}

/// Writes `logits` `[tokens, entries]` `= hidden weight^T + bias` for a chunk of tokens and a tile of the vocabulary.
pub(super) fn logits<T: Element>(
    hidden: Matrix<'_, T::Compute>,
    weight: Matrix<'_, T::Compute>,
    bias: Option<&[T]>,
    entries: &Range<usize>,
    logits: &mut [T::Compute],
) -> Result<(), KernelError> {
    multiply(hidden, weight.transposed(), logits, false, Workers::Pool)?;
    if let Some(bias) = bias.and_then(|bias| bias.get(entries.clone())) {
        logits.par_chunks_exact_mut(entries.len()).for_each(|logits| {
            for (logit, bias) in logits.iter_mut().zip(bias) {
                *logit += bias.load();
            }
        });
    }
    Ok(())
}
