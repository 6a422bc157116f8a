//! Rows of queries on their way over the keys, with a running softmax.

use super::KEYS;
use super::scores::{Bias, Scores};
use crate::element::store_into;
use crate::matrix::Workers;
use crate::stored::{Stored, multiply_stored, rounded};
use crate::sums::{greatest, sum_replacing};
use crate::vectorised::vectorised;
use crate::{Element, Float, KernelError};

/// The query heads of a group of the first token, then those of the second, and so on.
pub(super) struct Rows<'a, T: Element> {
    queries: &'a [T],
    /// Position of the first token in its sequence.
    position: usize,
    group: usize,
    head_dim: usize,
    value_dim: usize,
    scores: Scores<T::Compute>,
    /// Sums of values, weighted by exponentials relative to the greatest score so far.
    sums: Vec<T::Compute>,
    /// For each row the greatest score so far, and the sum of exponentials relative to it.
    softmax: Vec<(T::Compute, T::Compute)>,
    tile: Vec<T::Compute>,
    buffer: Vec<T>,
}

impl<'a, T: Element> Rows<'a, T> {
    /// `queries` are `[tokens, group, head_dim]`, `sinks` `[group]` or empty. Values have `value_dim` components.
    pub(super) fn new(
        queries: &'a [T],
        position: usize,
        group: usize,
        [head_dim, value_dim]: [usize; 2],
        scores: Scores<T::Compute>,
        sinks: &[T::Compute],
    ) -> Self {
        let count = queries.len() / head_dim;
        // A sink is a score that came before all others, with a value of zero.
        let start = |row: usize| match sinks.get(row % group) {
            Some(&sink) => (sink, T::Compute::ONE),
            None => (T::Compute::LOWEST, T::Compute::ZERO),
        };
        Self {
            queries,
            position,
            group,
            head_dim,
            value_dim,
            scores,
            sums: vec![T::Compute::ZERO; count * value_dim],
            softmax: (0..count).map(start).collect(),
            tile: vec![T::Compute::ZERO; count * KEYS],
            buffer: Vec::new(),
        }
    }

    /// The first key that any of them sees.
    pub(super) fn first_key(&self) -> usize {
        self.scores.first_key(self.position)
    }

    /// Goes over keys `[count, head_dim]` and values `[count, value_dim]` of the tokens from `first_key`, at most `KEYS` of them.
    pub(super) fn see(&mut self, keys: &[T], values: &[T], first_key: usize) -> Result<(), KernelError> {
        let (rows, count) = (self.softmax.len(), keys.len() / self.head_dim);
        let tile = self.tile.get_mut(..rows * count).unwrap_or_default();
        let queries = Stored::new(self.queries, rows, self.head_dim);
        let keys = Stored::new(keys, count, self.head_dim).transposed();
        multiply_stored(queries, keys, tile, false, Workers::Caller)?;
        let state = self.softmax.iter_mut().zip(self.sums.chunks_exact_mut(self.value_dim));
        for (row, (scores, (state, sums))) in tile.chunks_exact_mut(count).zip(state).enumerate() {
            let position = self.position + row / self.group;
            let bias = self.scores.bias(row % self.group, position, first_key);
            soften(self.scores.visible(scores, position, first_key), bias, &self.scores, state, sums);
        }
        let weights = Stored::new(rounded(tile, &mut self.buffer, Workers::Caller), rows, count);
        let values = Stored::new(values, count, self.value_dim);
        multiply_stored(weights, values, &mut self.sums, true, Workers::Caller)
    }

    /// Writes the results, `[group, value_dim]` for each token, and gives what is known of each row's scores: the greatest and
    /// the sum of the exponentials relative to it.
    pub(super) fn finish(mut self, out: Vec<&mut [T]>) -> Vec<(T::Compute, T::Compute)> {
        for (sums, (_, weight)) in self.sums.chunks_exact_mut(self.value_dim).zip(&self.softmax) {
            sums.iter_mut().for_each(|sum| *sum = *sum / *weight);
        }
        for (out, sums) in out.into_iter().zip(self.sums.chunks_exact(self.group * self.value_dim)) {
            store_into(sums, out);
        }
        self.softmax
    }
}

vectorised! {
    /// From a row of products to exponentials relative to the greatest score so far; the sums of earlier ones follow if
    /// it changes.
    fn soften<C: Float>(row: &mut [C], bias: Option<Bias<C>>, scores: &Scores<C>, state: &mut (C, C), sums: &mut [C]) {
        scores.finish(row, bias);
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
