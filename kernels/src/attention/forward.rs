//! Attention, forward: a task for each tile of queries and key-value head walks over the keys with a running softmax.

use rayon::prelude::*;

use super::rows::Rows;
use super::scores::{Scores, cut_by_head, cut_by_token, gather};
use super::{AttentionInputs, AttentionOptions, AttentionShape, KEYS};
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
    forward_with_sinks(inputs, shape, options, &[], out, lse)
}

/// As [`forward`], where each head also attends to a sink: a score of `sinks` `[heads]`, and a value of zero. `lse` has its
/// part in it, so that [`super::backward`] gives the gradients of queries, keys and values; with `P = exp(sink - lse)` and `D =
/// rowsum(dout * out)` that of a sink is the sum over tokens of `-P D`.
///
/// # Errors
/// As [`forward`].
pub fn forward_with_sinks<T: Element>(
    inputs: &AttentionInputs<'_, T>,
    shape: &AttentionShape<'_>,
    options: &AttentionOptions,
    sinks: &[T::Compute],
    out: &mut [T],
    lse: &mut [T::Compute],
) -> Result<(), KernelError> {
    const OPERATION: &str = "attention";
    shape.check(OPERATION, inputs, options)?;
    check::length(OPERATION, "out", out, &[inputs.q.len()])?;
    check::length(OPERATION, "lse", lse, &[shape.heads, shape.tokens()])?;
    check::rule(OPERATION, "a sink for each head", sinks.is_empty() || sinks.len() == shape.heads)?;
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
        tile.run(index % shape.kv_heads, inputs, shape, (options, sinks), out, lse)
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
        (options, sinks): (&AttentionOptions, &[T::Compute]),
        out: Vec<&mut [T]>,
        lse: Vec<&mut [T::Compute]>,
    ) -> Result<(), KernelError> {
        let (group, head_dim) = (shape.group(), shape.head_dim);
        let tokens = self.start + self.first;
        let query_heads = kv_head * group..(kv_head + 1) * group;
        let sinks = sinks.get(query_heads.clone()).unwrap_or_default();
        let queries = gather(inputs.q, shape.heads, tokens..tokens + self.count, query_heads.clone(), shape);
        let scores = Scores::new(options, inputs.slopes.get(query_heads.clone()).unwrap_or_default());
        let mut rows = Rows::new(&queries, self.first, group, [head_dim; 2], scores, sinks);
        let end = self.first + self.count;
        for first_key in (rows.first_key()..end).step_by(KEYS) {
            let count = KEYS.min(end - first_key);
            let range = self.start + first_key..self.start + first_key + count;
            let keys = gather(inputs.k, shape.kv_heads, range.clone(), kv_head..kv_head + 1, shape);
            let values = gather(inputs.v, shape.kv_heads, range, kv_head..kv_head + 1, shape);
            rows.see(&keys, &values, first_key)?;
        }
        let softmax = rows.finish(out);
        for (head, lse) in lse.into_iter().enumerate() {
            for (lse, (highest, weight)) in lse.iter_mut().zip(softmax.iter().skip(head).step_by(group)) {
                *lse = *highest + T::Compute::of(weight.widen().ln());
            }
        }
        Ok(())
    }
}
