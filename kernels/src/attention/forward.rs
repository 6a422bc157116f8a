//! Attention, forward: a task for each tile of queries and key-value head walks over the keys with a running softmax.

use rayon::prelude::*;

use super::scores::{Scores, cut_by_head, cut_by_token, gather};
use super::{AttentionInputs, AttentionOptions, AttentionShape, KEYS};
use crate::element::store_into;
use crate::matrix::Workers;
use crate::stored::{Stored, multiply_stored, rounded};
use crate::sums::{greatest, sum_replacing};
use crate::vectorised::vectorised;
use crate::{Element, Float, KernelError, check};

/// Writes `out` `[tokens, heads, head_dim]` and, for the backward pass, `lse` `[heads, tokens]`, the logarithm of the
/// sum of the exponentials of each query's scores.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Rule`] if a size or an option is out of range.
pub fn forward<T: Element>(
    inputs: &AttentionInputs<'_, T>,
    shape: &AttentionShape<'_>,
    options: &AttentionOptions,
    out: &mut [T],
    lse: &mut [T::Compute],
) -> Result<(), KernelError> {
    const OPERATION: &str = "attention";
    shape.check(OPERATION, inputs, options)?;
    check::length(OPERATION, "out", out, &[inputs.q.len()])?;
    check::length(OPERATION, "lse", lse, &[shape.heads, shape.tokens()])?;
    if shape.tokens() == 0 {
        return Ok(());
    }
    let mut tiles = Vec::new();
    let mut start = 0;
    for &length in shape.lengths {
        for first in (0..length).step_by(shape.tile_tokens()) {
            tiles.push(Tile { start, first, count: shape.tile_tokens().min(length - first) });
        }
        start += length;
    }
    let counts: Vec<usize> = tiles.iter().map(|tile| tile.count).collect();
    let out = cut_by_token(out, shape.group() * shape.head_dim, shape.kv_heads, &counts);
    let lse = cut_by_head(lse, shape, &counts);
    let tasks: Vec<_> = out.into_iter().zip(lse).enumerate().collect();
    // Tiles late in a sequence see more keys; threads that take one task at a time even that out.
    tasks.into_par_iter().with_max_len(1).try_for_each(|(index, (out, lse))| {
        let Some(tile) = tiles.get(index / shape.kv_heads) else { return Ok(()) };
        tile.run(index % shape.kv_heads, inputs, shape, options, out, lse)
    })
}

/// Queries of one task.
struct Tile {
    /// First token of the sequence.
    start: usize,
    /// Position of the first query in the sequence.
    first: usize,
    /// Query tokens.
    count: usize,
}

impl Tile {
    /// Rows of the tile's matrices are the query heads of the first token, then those of the second, and so on.
    fn run<T: Element>(
        &self,
        kv_head: usize,
        inputs: &AttentionInputs<'_, T>,
        shape: &AttentionShape<'_>,
        options: &AttentionOptions,
        out: Vec<&mut [T]>,
        lse: Vec<&mut [T::Compute]>,
    ) -> Result<(), KernelError> {
        let (group, head_dim) = (shape.group(), shape.head_dim);
        let (tokens, rows) = (self.start + self.first, self.count * group);
        let scores = Scores::<T::Compute>::new(options);
        let query_heads = kv_head * group..(kv_head + 1) * group;
        let queries = gather(inputs.q, shape.heads, tokens..tokens + self.count, query_heads, shape);
        let queries = Stored::new(&queries, rows, head_dim);
        let mut sums = vec![T::Compute::ZERO; rows * head_dim];
        // For each row the greatest score so far, and the sum of exponentials relative to it.
        let mut softmax = vec![(T::Compute::LOWEST, T::Compute::ZERO); rows];
        let mut tile = vec![T::Compute::ZERO; rows * KEYS];
        let mut buffer = Vec::new();
        let end = self.first + self.count;
        for first_key in (scores.first_key(self.first)..end).step_by(KEYS) {
            let count = KEYS.min(end - first_key);
            let range = self.start + first_key..self.start + first_key + count;
            let keys = gather(inputs.k, shape.kv_heads, range.clone(), kv_head..kv_head + 1, shape);
            let values = gather(inputs.v, shape.kv_heads, range, kv_head..kv_head + 1, shape);
            let tile = tile.get_mut(..rows * count).unwrap_or_default();
            let keys = Stored::new(&keys, count, head_dim).transposed();
            multiply_stored(queries, keys, tile, false, Workers::Caller)?;
            let state = softmax.iter_mut().zip(sums.chunks_exact_mut(head_dim));
            for (row, (scores_row, (state, sums))) in tile.chunks_exact_mut(count).zip(state).enumerate() {
                let visible = scores.visible(scores_row, self.first + row / group, first_key);
                soften(visible, &scores, state, sums);
            }
            let weights = Stored::new(rounded(tile, &mut buffer, Workers::Caller), rows, count);
            let values = Stored::new(&values, count, head_dim);
            multiply_stored(weights, values, &mut sums, true, Workers::Caller)?;
        }
        for (sums, (_, weight)) in sums.chunks_exact_mut(head_dim).zip(&softmax) {
            sums.iter_mut().for_each(|sum| *sum = *sum / *weight);
        }
        for (out, sums) in out.into_iter().zip(sums.chunks_exact(group * head_dim)) {
            store_into(sums, out);
        }
        for (head, lse) in lse.into_iter().enumerate() {
            for (lse, (highest, weight)) in lse.iter_mut().zip(softmax.iter().skip(head).step_by(group)) {
                *lse = *highest + T::Compute::of(weight.widen().ln());
            }
        }
        Ok(())
    }
}

vectorised! {
    /// From a row of products to exponentials relative to the greatest score so far; the sums of earlier ones follow if
    /// it changes.
    fn soften<C: Float>(row: &mut [C], scores: &Scores<C>, state: &mut (C, C), sums: &mut [C]) {
        scores.finish(row);
        let highest = greatest(row);
        if highest > state.0 {
            let shrink = (state.0 - highest).exponential();
            *state = (highest, state.1 * shrink);
            sums.iter_mut().for_each(|sum| *sum *= shrink);
        }
        let highest = state.0;
        state.1 += sum_replacing(row, |score| (score - highest).exponential(), |_, weight| weight);
    }
}
