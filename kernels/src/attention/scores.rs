//! What happens to a tile of scores, and how tiles are filled.

use std::ops::Range;

use super::{AttentionOptions, AttentionShape, KEYS};
use crate::{Element, Float};

/// From products of queries and keys to scores: the mask, the scale, the slopes and the soft cap.
pub(super) struct Scores<C> {
    window: Option<usize>,
    /// Factor on the products.
    pub(super) scale: C,
    /// The soft cap and its inverse.
    soft_cap: Option<(C, C)>,
    /// By how much the scores of each head of a group grow from one key to the next; empty if they don't.
    slopes: Vec<C>,
    /// `0, 1, ..`, one for each key of a tile; empty without slopes.
    steps: Vec<C>,
}

/// What is added to a row of scores: `slope * (distance + i)` to the `i`-th.
#[derive(Clone, Copy)]
pub(super) struct Bias<C> {
    slope: C,
    /// From the query to the first key, zero or below.
    distance: C,
}

impl<C: Float> Scores<C> {
    /// `slopes` are those of the heads of a group, or empty.
    pub(super) fn new(options: &AttentionOptions, slopes: &[f64]) -> Self {
        let soft_cap = options.soft_cap.map(|cap| (C::of(cap), C::of(1.0 / cap)));
        let steps = if slopes.is_empty() { 0 } else { KEYS as u32 };
        Self {
            window: options.window,
            scale: C::of(options.scale),
            soft_cap,
            slopes: slopes.iter().copied().map(C::of).collect(),
            steps: (0..steps).map(|step| C::of(step.into())).collect(),
        }
    }

    /// The first key that the query at `position` sees.
    pub(super) fn first_key(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// One past the last query that sees the key at `position`, in a sequence of `length`.
    pub(super) fn end_of_queries(&self, position: usize, length: usize) -> usize {
        self.window.map_or(length, |window| position.saturating_add(window).min(length))
    }

    /// The part of `row`, scores of the keys from `first_key`, that the query at `position` sees; the rest is set to
    /// zero.
    pub(super) fn visible<'a>(&self, row: &'a mut [C], position: usize, first_key: usize) -> &'a mut [C] {
        let end = (position + 1).saturating_sub(first_key).min(row.len());
        let start = self.first_key(position).saturating_sub(first_key).min(end);
        let (row, after) = row.split_at_mut(end);
        let (before, row) = row.split_at_mut(start);
        before.fill(C::ZERO);
        after.fill(C::ZERO);
        row
    }

    /// What is added to the scores that the query of a head at `position` sees of the keys from `first_key`.
    pub(super) fn bias(&self, head: usize, position: usize, first_key: usize) -> Option<Bias<C>> {
        let first = self.first_key(position).max(first_key);
        let distance = first as f64 - position as f64;
        self.slopes.get(head).map(|&slope| Bias { slope, distance: C::of(distance) })
    }

    /// Applies the scale, the bias and the soft cap.
    #[inline(always)]
    pub(super) fn finish(&self, row: &mut [C], bias: Option<Bias<C>>) {
        row.iter_mut().for_each(|score| *score *= self.scale);
        if let Some(Bias { slope, distance }) = bias {
            row.iter_mut().zip(&self.steps).for_each(|(score, &step)| *score += slope * (distance + step));
        }
        if let Some((cap, inverse)) = self.soft_cap {
            for score in row {
                *score = cap * (*score * inverse).hyperbolic_tangent();
            }
        }
    }

    /// The derivative of the soft cap where it gave `score`: `1 - (score / cap)^2`.
    #[inline(always)]
    pub(super) fn slope(&self, score: C) -> C {
        match self.soft_cap {
            Some((_, inverse)) => C::ONE - (score * inverse) * (score * inverse),
            None => C::ONE,
        }
    }
}

/// The components of some neighbouring heads of each token, out of `[tokens, heads, head_dim]`, one after the other.
pub(super) fn gather<T: Element>(
    x: &[T],
    heads: usize,
    tokens: Range<usize>,
    chosen: Range<usize>,
    shape: &AttentionShape<'_>,
) -> Vec<T> {
    let width = heads * shape.head_dim;
    let (start, end) = (chosen.start * shape.head_dim, chosen.end * shape.head_dim);
    let mut gathered = Vec::with_capacity(tokens.len() * (end - start));
    for row in x.get(tokens.start * width..tokens.end * width).unwrap_or_default().chunks_exact(width) {
        gathered.extend_from_slice(row.get(start..end).unwrap_or_default());
    }
    gathered
}

/// Cuts `[heads, tokens]` into the rows of each task. Tasks are tiles of so many tokens times key-value heads.
pub(super) fn cut_by_head<'a, C>(
    mut x: &'a mut [C],
    shape: &AttentionShape<'_>,
    tile_lengths: &[usize],
) -> Vec<Vec<&'a mut [C]>> {
    let mut cut: Vec<Vec<&mut [C]>> = (0..tile_lengths.len() * shape.kv_heads).map(|_| Vec::new()).collect();
    for head in 0..shape.heads {
        for (tile, &length) in tile_lengths.iter().enumerate() {
            let Some((part, rest)) = x.split_at_mut_checked(length) else { return cut };
            x = rest;
            if let Some(task) = cut.get_mut(tile * shape.kv_heads + head / shape.group()) {
                task.push(part);
            }
        }
    }
    cut
}

/// Cuts `[tokens, kv_heads, width]` into the rows of each task, as [`cut_by_head`].
pub(super) fn cut_by_token<'a, T>(
    x: &'a mut [T],
    width: usize,
    kv_heads: usize,
    tile_lengths: &[usize],
) -> Vec<Vec<&'a mut [T]>> {
    let mut rows = x.chunks_exact_mut(width);
    let mut cut = Vec::with_capacity(tile_lengths.len() * kv_heads);
    for &length in tile_lengths {
        let mut tasks: Vec<Vec<&mut [T]>> = (0..kv_heads).map(|_| Vec::with_capacity(length)).collect();
        for _ in 0..length {
            for (task, row) in tasks.iter_mut().zip(rows.by_ref()) {
                task.push(row);
            }
        }
        cut.append(&mut tasks);
    }
    cut
}
