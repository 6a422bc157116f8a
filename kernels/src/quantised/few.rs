//! Products of few rows: each row of the weight is decoded once, into the first cache, or for one row not even there.

use rayon::prelude::*;

use super::Matrix;
use crate::element::load_into;
use crate::sums::dot;
use crate::vectorised::vectorised;
use crate::{Element, Float, Known};

/// Rows of the left matrix, at most. With more of them a product by blocks pays.
pub(super) const ROWS: usize = 8;
/// Elements of the weight that one task decodes, about: some ten microseconds.
const TASK: usize = 1 << 17;

/// `y = x W^T`, or `y += x W^T`, for `tokens` rows; sizes must have been checked.
pub(super) fn forward<T: Element>(x: &[T], weight: &Matrix, tokens: usize, y: &mut [T], accumulate: bool) {
    let (rows, columns) = (weight.rows(), weight.columns());
    let mut inputs = vec![T::Compute::ZERO; x.len()];
    load_into(x, &mut inputs);
    // A row of the weight after the other, each with all tokens.
    let mut sums = vec![T::Compute::ZERO; rows * tokens];
    let task = (TASK / columns.max(1)).max(1);
    let parts = sums.par_chunks_mut(task * tokens).enumerate().with_max_len(1);
    parts.for_each_init(
        || vec![T::Compute::ZERO; columns],
        |row, (part, sums)| {
            for (index, sums) in sums.chunks_exact_mut(tokens).enumerate() {
                if let (Known::F32(input), [sum]) = (T::Compute::known(&inputs), &mut *sums)
                    && let Some(product) = weight.dot(part * task + index, input)
                {
                    *sum = T::Compute::of(product.into());
                    continue;
                }
                weight.decode((part * task + index) * columns, row);
                dots(row, &inputs, sums);
            }
        },
    );
    for (token, y) in y.chunks_exact_mut(rows.max(1)).enumerate() {
        for (y, sum) in y.iter_mut().zip(sums.iter().skip(token).step_by(tokens)) {
            *y = T::store(if accumulate { y.load() + *sum } else { *sum });
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
