//! Tiles of logits.

use std::ops::Range;

use rayon::prelude::*;

use super::TokenLogpsInputs;
use crate::matrix::Workers;
use crate::stored::{Stored, multiply_stored};
use crate::vectorised::vectorised;
use crate::{Element, Float, KernelError};

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

/// The rows `range` of `x`, each of `width`.
pub(super) fn rows<'a, T: Element>(x: &'a [T], range: &Range<usize>, width: usize) -> Stored<'a, T> {
    Stored::part(x, range.start * width..range.end * width, range.len(), width)
}

/// Writes `logits` `[tokens, entries]` `= hidden weight^T + bias` for a chunk of tokens and a tile of the vocabulary.
pub(super) fn logits<T: Element>(
    hidden: Stored<'_, T>,
    weight: Stored<'_, T>,
    bias: Option<&[T]>,
    entries: &Range<usize>,
    logits: &mut [T::Compute],
) -> Result<(), KernelError> {
    multiply_stored(hidden, weight.transposed(), logits, false, Workers::Pool)?;
    if let Some(bias) = bias.and_then(|bias| bias.get(entries.clone())) {
        logits.par_chunks_exact_mut(entries.len()).for_each(|logits| add_bias(logits, bias));
    }
    Ok(())
}

vectorised! {
    fn add_bias<T: Element>(logits: &mut [T::Compute], bias: &[T]) {
        for (logit, bias) in logits.iter_mut().zip(bias) {
            *logit += bias.load();
        }
    }

    /// `x *= factor`.
    pub(super) fn shrink<C: Float>(x: &mut [C], factor: C) {
        x.iter_mut().for_each(|x| *x *= factor);
    }
}
