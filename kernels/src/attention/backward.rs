//! Attention, backward: a task for each part of the keys of a sequence and key-value head computes the tiles of scores again.

use std::ops::Range;

use rayon::prelude::*;

use super::scores::{Bias, Scores, cut_by_token, gather};
use super::{AttentionInputs, AttentionOptions, AttentionShape, KEYS};
use crate::element::store_into;
use crate::matrix::{Matrix, Workers, multiply, rounded};
use crate::sums::sum_of_triples;
use crate::vectorised::vectorised;
use crate::{Element, Float, KernelError, check};

/// Parts that the keys of a sequence are cut into, at most. Each keeps gradients of its own for the queries that see it, which are
/// added up in the order of the parts, so that results do not depend on the number of threads.
const PARTS: usize = 8;
/// Keys of a part, at least where there are several.
const PART: usize = 4 * KEYS;

/// Where the gradients of [`AttentionInputs`] go; same shapes.
#[derive(Debug)]
pub struct AttentionGradients<'a, T> {
    /// `[tokens, heads, head_dim]`.
    pub dq: &'a mut [T],
    /// `[tokens, kv_heads, head_dim]`.
    pub dk: &'a mut [T],
    /// `[tokens, kv_heads, head_dim]`.
    pub dv: &'a mut [T],
}

/// Writes the gradients for `dout` `[tokens, heads, head_dim]`, from the inputs of the forward pass and the `out` and
/// `lse` that it wrote. Each key-value head's gradients are summed over its query heads in a fixed order.
///
/// With `P = exp(s - lse)` and `D = rowsum(dout * out)`: `dv = P^T dout`, `ds = P * (dout v^T - D) * cap'`,
/// `dq = scale ds k`, `dk = scale ds^T q`.
///
/// # Errors
/// As [`super::forward`].
pub fn backward<T: Element>(
    dout: &[T],
    inputs: &AttentionInputs<'_, T>,
    out: &[T],
    lse: &[T::Compute],
    shape: &AttentionShape<'_>,
    options: &AttentionOptions,
    gradients: AttentionGradients<'_, T>,
) -> Result<(), KernelError> {
    const OPERATION: &str = "attention backward";
    shape.check(OPERATION, inputs, options)?;
    check::length(OPERATION, "dout", dout, &[inputs.q.len()])?;
    check::length(OPERATION, "out", out, &[inputs.q.len()])?;
    check::length(OPERATION, "lse", lse, &[shape.heads, shape.tokens()])?;
    check::length(OPERATION, "dq", gradients.dq, &[inputs.q.len()])?;
    check::length(OPERATION, "dk", gradients.dk, &[inputs.k.len()])?;
    check::length(OPERATION, "dv", gradients.dv, &[inputs.v.len()])?;
    if shape.tokens() == 0 {
        return Ok(());
    }
    let starts: Vec<usize> = shape
        .lengths
        .iter()
        .scan(0, |start, &length| {
            let this = *start;
            *start += length;
            Some(this)
        })
        .collect();
    let dq = cut_by_token(gradients.dq, shape.group() * shape.head_dim, shape.kv_heads, shape.lengths);
    let dk = cut_by_token(gradients.dk, shape.head_dim, shape.kv_heads, shape.lengths);
    let dv = cut_by_token(gradients.dv, shape.head_dim, shape.kv_heads, shape.lengths);
    let tasks: Vec<_> = dq.into_iter().zip(dk).zip(dv).enumerate().collect();
    tasks.into_par_iter().with_max_len(1).try_for_each(|(index, ((dq, dk), dv))| {
        let sequence = index / shape.kv_heads;
        let (Some(&start), Some(&length)) = (starts.get(sequence), shape.lengths.get(sequence)) else {
            return Ok(());
        };
        let task = Task::new((start, length), index % shape.kv_heads, dout, inputs, out, lse, shape, options);
        task.run(dq, dk, dv)
    })
}

/// One sequence and key-value head. Rows of its matrices are the query heads of the first token, then those of the
/// second, and so on.
struct Task<'a, T: Element> {
    inputs: &'a AttentionInputs<'a, T>,
    shape: &'a AttentionShape<'a>,
    kv_head: usize,
    start: usize,
    length: usize,
    scores: Scores<T::Compute>,
    queries: Vec<T>,
    dout: Vec<T>,
    /// For each row the log-sum-exp of its scores, and `D`.
    rows: Vec<(T::Compute, T::Compute)>,
}

impl<'a, T: Element> Task<'a, T> {
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the fields and what the fields are computed from"
    )]
    fn new(
        (start, length): (usize, usize),
        kv_head: usize,
        dout: &[T],
        inputs: &'a AttentionInputs<'a, T>,
        out: &[T],
        lse: &[T::Compute],
        shape: &'a AttentionShape<'a>,
        options: &AttentionOptions,
    ) -> Self {
        let heads = kv_head * shape.group()..(kv_head + 1) * shape.group();
        let of_heads = |x: &[T]| gather(x, shape.heads, start..start + length, heads.clone(), shape);
        let (queries, dout, out) = (of_heads(inputs.q), of_heads(dout), of_heads(out));
        let positions =
            (start..start + length).flat_map(|token| heads.clone().map(move |head| (head, token)));
        let lse = positions.map(|(head, token)| lse.get(head * shape.tokens() + token).copied());
        let outs = out.chunks_exact(shape.head_dim).zip(dout.chunks_exact(shape.head_dim));
        let rows = outs
            .zip(lse)
            .map(|((out, dout), lse)| {
                (lse.unwrap_or(T::Compute::ZERO), sum_of_triples((out, dout, out), |out, dout, _| out * dout))
            })
            .collect();
        let scores = Scores::new(options, inputs.slopes.get(heads).unwrap_or_default());
        Self { inputs, shape, kv_head, start, length, scores, queries, dout, rows }
    }

    fn run(
        &self,
        dq_rows: Vec<&mut [T]>,
        dk_rows: Vec<&mut [T]>,
        dv_rows: Vec<&mut [T]>,
    ) -> Result<(), KernelError> {
        let width = self.shape.group() * self.shape.head_dim;
        let size = self.length.div_ceil(PARTS).max(PART).next_multiple_of(KEYS);
        let (mut dk_rows, mut dv_rows) = (dk_rows.into_iter(), dv_rows.into_iter());
        let parts: Vec<_> = (0..self.length)
            .step_by(size)
            .map(|first| {
                let rows = |from: &mut std::vec::IntoIter<_>| from.by_ref().take(size).collect::<Vec<_>>();
                (first..self.length.min(first + size), rows(&mut dk_rows), rows(&mut dv_rows))
            })
            .collect();
        let parts = parts.into_par_iter().with_max_len(1);
        let parts = parts.map(|(keys, dk, dv)| Ok((keys.start, self.part(keys, dk, dv)?)));
        let mut parts = parts.collect::<Result<Vec<_>, _>>()?.into_iter();
        // With a window the first part gives gradients of the first queries alone; the others' begin at zero.
        let (_, mut dq) = parts.next().unwrap_or_default();
        dq.resize(self.length * width, T::Compute::ZERO);
        for (first, part) in parts {
            let dq = dq.iter_mut().skip(first * width);
            dq.zip(part).for_each(|(dq, part)| *dq += part);
        }
        dq.iter_mut().for_each(|dq| *dq *= self.scores.scale);
        for (dq, row) in dq.chunks_exact(width).zip(dq_rows) {
            store_into(dq, row);
        }
        Ok(())
    }

    /// Writes the gradients of some keys and their values, and gives what these keys add to those of the queries from the first key
    /// on that see any of them, without the scale.
    fn part(
        &self,
        part: Range<usize>,
        dk_rows: Vec<&mut [T]>,
        dv_rows: Vec<&mut [T]>,
    ) -> Result<Vec<T::Compute>, KernelError> {
        let (group, head_dim) = (self.shape.group(), self.shape.head_dim);
        let zeros = |count: usize| vec![T::Compute::ZERO; count];
        let (tile_tokens, width) = (self.shape.tile_tokens(), group * head_dim);
        let (mut weights, mut slopes) =
            (zeros(tile_tokens * group * KEYS), zeros(tile_tokens * group * KEYS));
        let (mut weights_buffer, mut slopes_buffer) = (Vec::new(), Vec::new());
        let end = self.scores.end_of_queries(part.end - 1, self.length);
        let mut dq = zeros((end - part.start) * width);
        let (mut dk_rows, mut dv_rows) = (dk_rows.into_iter(), dv_rows.into_iter());
        for first_key in part.clone().step_by(KEYS) {
            let keys_count = KEYS.min(part.end - first_key);
            let range = self.start + first_key..self.start + first_key + keys_count;
            let kv_head = self.kv_head..self.kv_head + 1;
            let keys = gather(self.inputs.k, self.shape.kv_heads, range.clone(), kv_head.clone(), self.shape);
            let values = gather(self.inputs.v, self.shape.kv_heads, range, kv_head, self.shape);
            let (mut dk, mut dv) = (zeros(keys_count * head_dim), zeros(keys_count * head_dim));
            let end = self.scores.end_of_queries(first_key + keys_count - 1, self.length);
            for first in (first_key..end).step_by(tile_tokens) {
                let last = end.min(first + tile_tokens);
                // Later keys are hidden from all of these queries.
                let count = keys_count.min(last - first_key);
                let (components, rows) = (first * width..last * width, (last - first) * group);
                let queries = Matrix::part(&self.queries, components.clone(), rows, head_dim)?;
                let dout = Matrix::part(&self.dout, components.clone(), rows, head_dim)?;
                let keys = Matrix::part(&keys, 0..count * head_dim, count, head_dim)?;
                let values = Matrix::part(&values, 0..count * head_dim, count, head_dim)?;
                let weights = weights.get_mut(..rows * count).unwrap_or_default();
                let slopes = slopes.get_mut(..rows * count).unwrap_or_default();
                multiply(queries, keys.transposed(), weights, false, Workers::Caller)?;
                multiply(dout, values.transposed(), slopes, false, Workers::Caller)?;
                self.weigh(first, first_key, count, weights, slopes);
                let weights =
                    Matrix::new(rounded(weights, &mut weights_buffer, Workers::Caller), rows, count)?;
                let slopes = Matrix::new(rounded(slopes, &mut slopes_buffer, Workers::Caller), rows, count)?;
                let dk = dk.get_mut(..count * head_dim).unwrap_or_default();
                let dv = dv.get_mut(..count * head_dim).unwrap_or_default();
                multiply(weights.transposed(), dout, dv, true, Workers::Caller)?;
                multiply(slopes.transposed(), queries, dk, true, Workers::Caller)?;
                let before = part.start * width;
                let dq = dq.get_mut(components.start - before..components.end - before).unwrap_or_default();
                multiply(slopes, keys, dq, true, Workers::Caller)?;
            }
            dk.iter_mut().for_each(|dk| *dk *= self.scores.scale);
            for (dk, row) in dk.chunks_exact(head_dim).zip(dk_rows.by_ref()) {
                store_into(dk, row);
            }
            for (dv, row) in dv.chunks_exact(head_dim).zip(dv_rows.by_ref()) {
                store_into(dv, row);
            }
        }
        Ok(dq)
    }

    /// From products of queries and keys to attention weights in `weights`, and from products of `dout` and values to
    /// gradients of the scores before the soft cap in `slopes`.
    fn weigh(
        &self,
        first: usize,
        first_key: usize,
        keys: usize,
        weights: &mut [T::Compute],
        slopes: &mut [T::Compute],
    ) {
        let group = self.shape.group();
        let tile = weights.chunks_exact_mut(keys).zip(slopes.chunks_exact_mut(keys));
        for (row, ((weights, slopes), &(lse, mean))) in
            tile.zip(self.rows.iter().skip(first * group)).enumerate()
        {
            let position = first + row / group;
            let bias = self.scores.bias(row % group, position, first_key);
            let weights = self.scores.visible(weights, position, first_key);
            let slopes = self.scores.visible(slopes, position, first_key);
            weigh((weights, bias), slopes, lse, mean, &self.scores);
        }
    }
}

vectorised! {
    /// A row: products become weights, gradients of weights become gradients of scores.
    fn weigh<C: Float>(
        scored: (&mut [C], Option<Bias<C>>),
        slopes: &mut [C],
        lse: C,
        mean: C,
        scores: &Scores<C>,
    ) {
        let (weights, bias) = scored;
        scores.finish(weights, bias);
        for (weight, slope) in weights.iter_mut().zip(slopes) {
            let score = *weight;
            *weight = (score - lse).exponential();
            *slope = *weight * (*slope - mean) * scores.slope(score);
        }
    }
}
