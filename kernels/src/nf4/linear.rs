//! A linear layer whose weight is in NF4 and frozen: a part of its rows at a time is made into elements.

use super::{Matrix, OPERATION};
use crate::element::store_into;
use crate::matrix::{self, Workers};
use crate::{Element, Float, KernelError, check};

/// Elements of the weight that exist at a time: 4 MiB of `bf16`.
const PART: usize = 1 << 21;

/// `y = x W^T`: from `x` `[tokens, columns]` to `y` `[tokens, rows]`. Temporary memory is that of 2 million elements, of the
/// weight, or one row, and of their part of the result.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit.
pub fn forward<T: Element>(x: &[T], weight: &Matrix, tokens: usize, y: &mut [T]) -> Result<(), KernelError> {
    check::length(OPERATION, "x", x, &[tokens, weight.columns])?;
    check::length(OPERATION, "y", y, &[tokens, weight.rows])?;
    let x = matrix::Matrix::new(x, tokens, weight.columns)?;
    let mut sums = Vec::new();
    weight.parts(|first, rows, part| {
        sums.resize(tokens * rows, T::Compute::ZERO);
        let part = matrix::Matrix::new(part, rows, weight.columns)?.transposed();
        matrix::multiply(x, part, &mut sums, false, Workers::Pool)?;
        for (y, sums) in y.chunks_exact_mut(weight.rows).zip(sums.chunks_exact(rows)) {
            store_into(sums, y.get_mut(first..first + rows).unwrap_or_default());
        }
        Ok(())
    })
}

/// `dx = dy W`: from `dy` `[tokens, rows]` to `dx` `[tokens, columns]`, whose sums are rounded once. Temporary memory as that
/// of [`forward`], and `dx` in the numbers that `T` is computed in.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit.
pub fn input_gradient<T: Element>(
    dy: &[T],
    weight: &Matrix,
    tokens: usize,
    dx: &mut [T],
) -> Result<(), KernelError> {
    check::length(OPERATION, "dy", dy, &[tokens, weight.rows])?;
    check::length(OPERATION, "dx", dx, &[tokens, weight.columns])?;
    let mut sums = vec![T::Compute::ZERO; dx.len()];
    let mut columns = Vec::new();
    weight.parts(|first, rows, part| {
        columns.clear();
        for dy in dy.chunks_exact(weight.rows) {
            columns.extend_from_slice(dy.get(first..first + rows).unwrap_or_default());
        }
        let dy = matrix::Matrix::new(&columns, tokens, rows)?;
        let part = matrix::Matrix::new(part, rows, weight.columns)?;
        matrix::multiply(dy, part, &mut sums, true, Workers::Pool)
    })?;
    store_into(&sums, dx);
    Ok(())
}

impl Matrix {
    /// Calls `work` with the first row, the number of rows and the elements of one part after the other.
    fn parts<T: Element>(
        &self,
        mut work: impl FnMut(usize, usize, &[T]) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        if self.rows == 0 || self.columns == 0 {
            return Ok(());
        }
        // Parts begin with a whole byte.
        let most = (PART / self.columns).max(1).next_multiple_of(2);
        let mut elements = Vec::new();
        for first in (0..self.rows).step_by(most) {
            let rows = most.min(self.rows - first);
            elements.resize(rows * self.columns, T::store(T::Compute::ZERO));
            self.dequantise_from(first * self.columns, &mut elements);
            work(first, rows, &elements)?;
        }
        Ok(())
    }
}
