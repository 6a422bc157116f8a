//! Products of few rows with a weight whose rows have to be converted: each of these is read once, and converted into the
//! first cache or, for a single row, not even there.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::matrix::Workers;
use crate::sums::dot;
use crate::vectorised::vectorised;
use crate::{Element, Float};

/// Rows of the left matrix, at most. With more of them a product by blocks pays.
pub(crate) const ROWS: usize = 8;
/// Elements of the weight that one task converts, about: some ten microseconds.
const TASK: usize = 1 << 17;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;

/// A weight, `[rows, columns]`, of numbers `C` in some form.
pub(crate) trait Rows<C: Float>: Sync {
    fn rows(&self) -> usize;
    fn columns(&self) -> usize;
    /// The elements of a row.
    fn convert(&self, row: usize, into: &mut [C]);
    /// A vector of a row's length in the order in which [`Rows::dot`] takes it.
    fn arranged<'v>(&self, vector: &'v [C]) -> Cow<'v, [C]> {
        vector.into()
    }
    /// The product of a row with what [`Rows::arranged`] has made of a vector, if it can be had without converting the row.
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
    if rows == 0 || columns == 0 {
        return;
    }
    let tokens = x.len() / columns;
    let arranged = if tokens == 1 { weight.arranged(x) } else { x.into() };
    // A row of the weight after the other, each with all tokens.
    let mut sums = vec![O::Compute::ZERO; rows * tokens];
    let task = (TASK / columns).max(1);
    let zeros = || vec![O::Compute::ZERO; columns];
    let work = |converted: &mut Vec<O::Compute>, (part, sums): (usize, &mut [O::Compute])| {
        for (index, sums) in sums.chunks_exact_mut(tokens).enumerate() {
            let row = part * task + index;
            if let [sum] = sums
                && let Some(product) = weight.dot(row, &arranged)
            {
                *sum = product;
            } else {
                weight.convert(row, converted);
                dots(converted, x, sums);
            }
        }
    };
    match workers {
        Workers::Pool if sums.len() * columns >= SMALL => {
            let parts = sums.par_chunks_mut(task * tokens).enumerate().with_max_len(1);
            parts.for_each_init(zeros, work);
        }
        _ => {
            let mut converted = zeros();
            sums.chunks_mut(task * tokens).enumerate().for_each(|part| work(&mut converted, part));
        }
    }
    for (token, y) in y.chunks_exact_mut(rows).enumerate() {
        for (y, &sum) in y.iter_mut().zip(sums.iter().skip(token).step_by(tokens)) {
            *y = O::store(if accumulate { y.load() + sum } else { sum });
        }
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
