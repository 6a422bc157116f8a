//! The matrix product.

use rayon::prelude::*;

use crate::element::{load_into, store_into};
use crate::matrix::{Matrix, Workers, multiply};
use crate::{CHUNK, Element, Float, KernelError, check};

/// Elements of a panel of converted elements: 16 MiB of `f32`.
const PANEL: usize = 1 << 22;
/// Rows or columns of a panel, at most: a block of the product then has no more elements than a panel.
const WIDEST: usize = 2048;
/// Rows or columns of a panel, at least, even if the inner dimension makes it larger than `PANEL`.
const NARROWEST: usize = 64;

/// `c = op(a) op(b)`, or `c += op(a) op(b)` if `accumulate`. `op(a)` is `[m, k]` and `op(b)` is `[k, n]`; `a` is stored
/// as `[k, m]` if `transpose_a`, `b` as `[n, k]` if `transpose_b`. `c` is `[m, n]`.
///
/// Sums are taken in `T::Compute`; `bf16` is converted panel by panel, in at most 48 MiB of temporary memory (up to an
/// inner dimension of 65536), and rounded once.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit the sizes.
#[expect(clippy::too_many_arguments, reason = "the arguments of BLAS, in the order that everybody knows")]
pub fn product<T: Element>(
    a: &[T],
    b: &[T],
    c: &mut [T],
    m: usize,
    k: usize,
    n: usize,
    transpose_a: bool,
    transpose_b: bool,
    accumulate: bool,
) -> Result<(), KernelError> {
    const OPERATION: &str = "matmul";
    check::length(OPERATION, "a", a, &[m, k])?;
    check::length(OPERATION, "b", b, &[k, n])?;
    check::length(OPERATION, "c", c, &[m, n])?;
    let (a_rows, a_columns) = if transpose_a { (k, m) } else { (m, k) };
    let (b_rows, b_columns) = if transpose_b { (n, k) } else { (k, n) };
    if let (Some(a), Some(b), Some(c)) = (T::as_compute(a), T::as_compute(b), T::as_compute_mut(c)) {
        let a = Matrix::new(a, a_rows, a_columns)?.transposed_if(transpose_a);
        let b = Matrix::new(b, b_rows, b_columns)?.transposed_if(transpose_b);
        return multiply(a, b, c, accumulate, Workers::Pool);
    }
    if m == 0 || n == 0 {
        return Ok(());
    }
    let widest = (PANEL / k.max(1)).clamp(NARROWEST, WIDEST);
    for first_column in (0..n).step_by(widest) {
        let columns = widest.min(n - first_column);
        let right = panel(b, b_columns, first_column, columns, transpose_b);
        let (right_rows, right_columns) = if transpose_b { (columns, k) } else { (k, columns) };
        let right = Matrix::new(&right, right_rows, right_columns)?.transposed_if(transpose_b);
        for first_row in (0..m).step_by(widest) {
            let rows = widest.min(m - first_row);
            let left = panel(a, a_columns, first_row, rows, !transpose_a);
            let (left_rows, left_columns) = if transpose_a { (k, rows) } else { (rows, k) };
            let left = Matrix::new(&left, left_rows, left_columns)?.transposed_if(transpose_a);
            let mut block = vec![T::Compute::ZERO; rows * columns];
            multiply(left, right, &mut block, false, Workers::Pool)?;
            let c_rows = c.par_chunks_exact_mut(n).skip(first_row).zip(block.par_chunks_exact(columns));
            c_rows.for_each(|(c, block)| {
                let c = c.get_mut(first_column..first_column + columns).unwrap_or_default();
                if accumulate {
                    for (c, &sum) in c.iter_mut().zip(block) {
                        *c = T::store(c.load() + sum);
                    }
                } else {
                    store_into(block, c);
                }
            });
        }
    }
    Ok(())
}

/// The `count` rows from `first`, or the `count` columns, of a matrix of `columns`, as a matrix of their own.
fn panel<T: Element>(x: &[T], columns: usize, first: usize, count: usize, of_rows: bool) -> Vec<T::Compute> {
    if of_rows {
        let x = x.get(first * columns..(first + count) * columns).unwrap_or_default();
        let mut panel = vec![T::Compute::ZERO; x.len()];
        panel.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(panel, x)| load_into(x, panel));
        panel
    } else {
        let mut panel = vec![T::Compute::ZERO; x.len() / columns * count];
        let rows = panel.par_chunks_exact_mut(count).zip(x.par_chunks_exact(columns));
        rows.for_each(|(panel, x)| load_into(x.get(first..first + count).unwrap_or_default(), panel));
        panel
    }
}
