//! Products of few rows with a weight whose rows lie side by side, in whatever form: each row of the weight is read once, and
//! converted into the second cache if it has to be or, for a single row on the left, not even there.

use std::ops::Range;

use rayon::prelude::*;

use crate::element::{Known, KnownMut};
use crate::matrix::Workers;
use crate::sums::dot;
#[cfg(target_arch = "x86_64")]
use crate::tiles::Tiles;
use crate::vectorised::vectorised;
use crate::{Element, Float};

/// Rows of the weight that are converted at a time.
const BLOCK: usize = 16;
/// Elements of the weight that one task takes, about: some ten microseconds.
const TASK: usize = 1 << 17;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;

/// Rows of the left matrix, at most. With more of them a product by blocks pays.
pub(crate) fn most() -> usize {
    if has_tiles() { 128 } else { 8 }
}

/// Whether the processor has a kernel for more than one row on the left.
pub(crate) fn has_tiles() -> bool {
    #[cfg(target_arch = "x86_64")]
    return Tiles::find().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A weight, `[rows, columns]`, of numbers `C` in some form.
pub(crate) trait Rows<C: Float>: Sync {
    fn rows(&self) -> usize;
    fn columns(&self) -> usize;
    /// Some rows, if they are there as numbers.
    fn numbers(&self, rows: Range<usize>) -> Option<&[C]>;
    /// The elements of a row.
    fn convert(&self, row: usize, into: &mut [C]);
    /// The product of a row with a vector of its length, if it can be had without converting it.
    fn dot(&self, row: usize, vector: &[C]) -> Option<C>;
}

/// `y = x W^T`, or `y += x W^T`, where `x` has some rows, each as long as those of `W`.
pub(crate) fn multiply<O: Element>(
    x: &[O::Compute],
    weight: &impl Rows<O::Compute>,
    y: &mut [O],
    accumulate: bool,
    workers: Workers,
) {
    let (rows, columns) = (weight.rows(), weight.columns());
    if rows == 0 || columns == 0 || x.is_empty() {
        return;
    }
    let tokens = x.len() / columns;
    let width = (TASK / columns).max(1).next_multiple_of(BLOCK);
    let work = |buffers: &mut Buffers<_>, (part, into): (usize, Vec<&mut [O]>)| {
        let mut into: Vec<_> = into.into_iter().map(|into| into.chunks_mut(BLOCK)).collect();
        let end = rows.min((part + 1) * width);
        for first in (part * width..end).step_by(BLOCK) {
            let sums = buffers.products(x, weight, first..end.min(first + BLOCK));
            for (token, into) in into.iter_mut().filter_map(Iterator::next).enumerate() {
                for (y, &sum) in into.iter_mut().zip(sums.iter().skip(token).step_by(tokens)) {
                    *y = O::store(if accumulate { y.load() + sum } else { sum });
                }
            }
        }
    };
    let parts = split_columns(y, rows, width);
    match workers {
        Workers::Pool if rows * tokens * columns >= SMALL => {
            let parts = parts.into_par_iter().enumerate().with_max_len(1);
            parts.for_each_init(Buffers::new, work);
        }
        _ => {
            let mut buffers = Buffers::new();
            parts.into_iter().enumerate().for_each(|part| work(&mut buffers, part));
        }
    }
}

/// The rows of a matrix with so many columns, cut after every `width` columns: the rows of each part.
pub(crate) fn split_columns<T>(matrix: &mut [T], columns: usize, width: usize) -> Vec<Vec<&mut [T]>> {
    let rows = matrix.len() / columns;
    let mut parts: Vec<_> = (0..columns).step_by(width).map(|_| Vec::with_capacity(rows)).collect();
    for row in matrix.chunks_exact_mut(columns) {
        parts.iter_mut().zip(row.chunks_mut(width)).for_each(|(rows, part)| rows.push(part));
    }
    parts
}

/// What a thread needs.
struct Buffers<C> {
    converted: Vec<C>,
    sums: Vec<C>,
}

impl<C: Float> Buffers<C> {
    fn new() -> Self {
        Self { converted: Vec::new(), sums: Vec::new() }
    }

    /// The products of some rows of the weight with all of `x`: those of one row after those of the other.
    fn products(&mut self, x: &[C], weight: &impl Rows<C>, rows: Range<usize>) -> &[C] {
        let columns = weight.columns();
        let tokens = x.len() / columns;
        self.sums.resize(rows.len() * tokens, C::ZERO);
        let dots = |(row, sum): (usize, &mut C)| weight.dot(row, x).map(|product| *sum = product);
        if tokens == 1 && rows.clone().zip(&mut self.sums).try_for_each(dots).is_some() {
            return &self.sums;
        }
        let numbers = match weight.numbers(rows.clone()) {
            Some(numbers) => numbers,
            None => {
                self.converted.resize(rows.len() * columns, C::ZERO);
                let converted = self.converted.chunks_exact_mut(columns);
                rows.zip(converted).for_each(|(row, into)| weight.convert(row, into));
                &self.converted
            }
        };
        products(numbers, x, columns, &mut self.sums);
        &self.sums
    }
}

fn products<C: Float>(rows: &[C], inputs: &[C], columns: usize, sums: &mut [C]) {
    #[cfg(target_arch = "x86_64")]
    if let (Some(tiles), Known::F32(rows), Known::F32(inputs), KnownMut::F32(sums)) =
        (Tiles::find(), C::known(rows), C::known(inputs), C::known_mut(sums))
    {
        return tiles.products(rows, inputs, columns, sums);
    }
    let count = inputs.len() / columns;
    for (row, sums) in rows.chunks_exact(columns).zip(sums.chunks_exact_mut(count)) {
        dots(row, inputs, sums);
    }
}

vectorised! {
    /// The product of one row with each of the rows of `inputs`.
    fn dots<C: Float>(row: &[C], inputs: &[C], sums: &mut [C]) {
        for (sum, input) in sums.iter_mut().zip(inputs.chunks_exact(row.len())) {
            *sum = dot(row, input);
        }
    }
}
