//! Tiles of logits.

use std::ops::Range;

use rayon::prelude::*;

use super::TokenLogpsInputs;
use crate::matrix::{Matrix, Workers, multiply};
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
pub(super) fn rows<'a, T: Element>(
    x: &'a [T],
    range: &Range<usize>,
    width: usize,
) -> Result<Matrix<'a, T>, KernelError> {
    Matrix::part(x, range.start * width..range.end * width, range.len(), width)
}

/// Writes `logits` `[tokens, entries]` `= cap(hidden weight^T + bias)` for a chunk of tokens and a tile of the vocabulary.
pub(super) fn logits<T: Element>(
    hidden: Matrix<'_, T>,
    weight: Matrix<'_, T>,
    inputs: &TokenLogpsInputs<'_, T>,
    entries: &Range<usize>,
    logits: &mut [T::Compute],
) -> Result<(), KernelError> {
    multiply(hidden, weight.transposed(), logits, false, Workers::Pool)?;
    if let Some(bias) = inputs.bias.and_then(|bias| bias.get(entries.clone())) {
        logits.par_chunks_exact_mut(entries.len()).for_each(|logits| add_bias(logits, bias));
    }
    if let Some(cap) = inputs.soft_cap.map(T::Compute::of) {
        logits.par_chunks_exact_mut(entries.len()).for_each(|logits| apply_cap(logits, cap));
    }
    Ok(())
}

/// The derivative of the cap at each of the capped logits: `1 - (logit / cap)^2`.
pub(super) fn cap_slopes<C: Float>(logits: &[C], cap: C, slopes: &mut Vec<C>) {
    slopes.resize(logits.len(), C::ZERO);
    let rows = slopes.par_chunks_mut(ENTRIES).zip(logits.par_chunks(ENTRIES));
    rows.for_each(|(slopes, logits)| write_slopes(logits, cap, slopes));
}

/// The derivative of the cap where the capped logit is `logit`.
#[inline(always)]
pub(super) fn cap_slope<C: Float>(logit: C, cap: C) -> C {
    C::ONE - logit / cap * (logit / cap)
}

vectorised! {
    fn add_bias<T: Element>(logits: &mut [T::Compute], bias: &[T]) {
        for (logit, bias) in logits.iter_mut().zip(bias) {
            *logit += bias.load();
        }
    }

    fn apply_cap<C: Float>(logits: &mut [C], cap: C) {
        logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).hyperbolic_tangent());
    }

    fn write_slopes<C: Float>(logits: &[C], cap: C, slopes: &mut [C]) {
        for (slope, &logit) in slopes.iter_mut().zip(logits) {
            *slope = cap_slope(logit, cap);
        }
    }

    /// `x *= y`.
    pub(super) fn scale_by<C: Float>(x: &mut [C], y: &[C]) {
        for (x, &y) in x.iter_mut().zip(y) {
            *x *= y;
        }
    }

    /// `x *= factor`.
    pub(super) fn shrink<C: Float>(x: &mut [C], factor: C) {
        x.iter_mut().for_each(|x| *x *= factor);
    }
}
