//! A linear layer whose weight is quantised and frozen: its rows are multiplied as they are, or a part of them at a time is made
//! into elements.

use super::{Matrix, OPERATION};
use crate::by_rows;
use crate::element::{load_into, store_into};
use crate::matmul::is_native;
use crate::matrix::{self, Workers};
use crate::{Element, Float, KernelError, check};

/// Elements of the weight that exist at a time: 4 MiB of `f32`.
const PART: usize = 1 << 20;

/// `y = x W^T`, or `y += x W^T` if `accumulate`: from `x` `[tokens, columns]` to `y` `[tokens, rows]`.
///
/// Elements of `x` of 16 bits are rounded to whole numbers of 16 bits that have a power of two for each 64 of them, and the values of
/// NF4 to such numbers too (by 0.00015 at most), where the processor has AVX2 and rows consist of whole blocks. By AVX512-BF16 and with
/// up to 12 tokens of `bf16`, the values of NF4 are rounded to `bf16`; with more, or with more than 8 and 8 bits, elements of the weight
/// are, some rows at a time for each thread. In other cases temporary memory is that of a million elements of the weight, or one row, and
/// of their part of the result; `x` is there once more where its type has to be converted.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit.
pub fn forward<T: Element>(
    x: &[T],
    weight: &Matrix,
    tokens: usize,
    y: &mut [T],
    accumulate: bool,
) -> Result<(), KernelError> {
    let (rows, columns) = (weight.rows(), weight.columns());
    check::length(OPERATION, "x", x, &[tokens, columns])?;
    check::length(OPERATION, "y", y, &[tokens, rows])?;
    #[cfg(target_arch = "x86_64")]
    let takes_any_number = weight.has_products::<T>();
    #[cfg(not(target_arch = "x86_64"))]
    let takes_any_number = false;
    let by_rows = takes_any_number || tokens <= by_rows::most::<T::Compute>();
    if by_rows && tokens > 0 && columns > 0 {
        by_rows::multiply(x, weight, y, accumulate, Workers::Pool);
        Ok(())
    } else if is_native::<T>() {
        forward_by_parts(x, weight, tokens, y, accumulate)
    } else {
        forward_by_parts(&converted(x), weight, tokens, y, accumulate)
    }
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
    check::length(OPERATION, "dy", dy, &[tokens, weight.rows()])?;
    check::length(OPERATION, "dx", dx, &[tokens, weight.columns()])?;
    let mut sums = vec![T::Compute::ZERO; dx.len()];
    if is_native::<T>() {
        gradient_by_parts(dy, weight, tokens, &mut sums)?;
    } else {
        gradient_by_parts(&converted(dy), weight, tokens, &mut sums)?;
    }
    store_into(&sums, dx);
    Ok(())
}

/// The product computed in `P`, which is either the type of the elements or the one that they are computed in.
fn forward_by_parts<P: Element, T: Element<Compute = P::Compute>>(
    x: &[P],
    weight: &Matrix,
    tokens: usize,
    y: &mut [T],
    accumulate: bool,
) -> Result<(), KernelError> {
    let x = matrix::Matrix::new(x, tokens, weight.columns())?;
    let (all, mut sums) = (weight.rows(), Vec::new());
    if weight.columns() == 0 && !accumulate {
        y.fill(T::store(T::Compute::ZERO));
    }
    weight.parts(|first, rows, part| {
        sums.resize(tokens * rows, P::Compute::ZERO);
        let part = matrix::Matrix::new(part, rows, weight.columns())?.transposed();
        matrix::multiply::<P>(x, part, &mut sums, false, Workers::Pool)?;
        for (y, sums) in y.chunks_exact_mut(all).zip(sums.chunks_exact(rows)) {
            let y = y.get_mut(first..first + rows).unwrap_or_default();
            if accumulate {
                y.iter_mut().zip(sums).for_each(|(y, &sum)| *y = T::store(y.load() + sum));
            } else {
                store_into(sums, y);
            }
        }
        Ok(())
    })
}

fn gradient_by_parts<P: Element>(
    dy: &[P],
    weight: &Matrix,
    tokens: usize,
    sums: &mut [P::Compute],
) -> Result<(), KernelError> {
    let dy = matrix::Matrix::new(dy, tokens, weight.rows())?;
    weight.parts(|first, rows, part| {
        let part = matrix::Matrix::new(part, rows, weight.columns())?;
        matrix::multiply::<P>(dy.some_columns(first..first + rows)?, part, sums, true, Workers::Pool)
    })
}

fn converted<T: Element>(x: &[T]) -> Vec<T::Compute> {
    let mut into = vec![T::Compute::ZERO; x.len()];
    load_into(x, &mut into);
    into
}

impl Matrix {
    /// Calls `work` with the first row, the number of rows and the elements of one part after the other.
    fn parts<T: Element>(
        &self,
        mut work: impl FnMut(usize, usize, &[T]) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        let (all, columns) = (self.rows(), self.columns());
        if all == 0 || columns == 0 {
            return Ok(());
        }
        let most = (PART / columns).max(1);
        let mut elements = Vec::new();
        for first in (0..all).step_by(most) {
            let rows = most.min(all - first);
            elements.resize(rows * columns, T::store(T::Compute::ZERO));
            self.decode_in_parallel(first * columns, &mut elements);
            work(first, rows, &elements)?;
        }
        Ok(())
    }
}
