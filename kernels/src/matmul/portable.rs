//! The product on any processor, by the `gemm` crate: types of 16 bits are converted panel by panel.

use gemm::Parallelism;
use rayon::prelude::*;

use super::as_rows;
use crate::element::{load_into, store_into};
use crate::matrix::{Matrix, Workers};
use crate::{CHUNK, Element, Float};

/// Elements of a panel of converted elements: 16 MiB of `f32`.
const PANEL: usize = 1 << 22;
/// Rows or columns of a panel, at most: a block of the product then has no more elements than a panel.
const WIDEST: usize = 2048;
/// Rows or columns of a panel, at least, even if the inner dimension makes it larger than `PANEL`.
const NARROWEST: usize = 64;

/// `result = left right`, or `result += left right`.
pub(super) fn multiply<T: Element, O: Element<Compute = T::Compute>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) {
    if as_rows::multiply(left, right, result, accumulate, workers) {
        return;
    }
    let (m, k, n) = (left.rows, left.columns, right.columns);
    if let (Some(left), Some(right), Some(result)) =
        (left.to_compute(), right.to_compute(), O::as_compute_mut(result))
    {
        return call(left, right, result, accumulate, workers);
    }
    if m == 0 || n == 0 {
        return;
    }
    let widest = (PANEL / k.max(1)).clamp(NARROWEST, WIDEST);
    let mut block = Vec::new();
    for first_column in (0..n).step_by(widest) {
        let columns = first_column..n.min(first_column + widest);
        let converted = convert(right.transposed(), columns.clone(), workers);
        let right = of_rows(&converted, right.transposed(), columns.len()).transposed();
        for first_row in (0..m).step_by(widest) {
            let rows = first_row..m.min(first_row + widest);
            let converted = convert(left, rows.clone(), workers);
            let left = of_rows(&converted, left, rows.len());
            block.resize(rows.len() * columns.len(), T::Compute::ZERO);
            call(left, right, &mut block, false, workers);
            let result = result.par_chunks_exact_mut(n).skip(first_row);
            result.zip(block.par_chunks_exact(columns.len())).for_each(|(result, block)| {
                add(block, result.get_mut(columns.clone()).unwrap_or_default(), accumulate);
            });
        }
    }
}

/// Stores sums, or adds them to what is there.
fn add<O: Element>(sums: &[O::Compute], into: &mut [O], accumulate: bool) {
    if accumulate {
        into.iter_mut().zip(sums).for_each(|(into, &sum)| *into = O::store(into.load() + sum));
    } else {
        store_into(sums, into);
    }
}

/// Rows of a matrix to compute with, in the order that they are stored in.
fn convert<T: Element>(x: Matrix<'_, T>, rows: std::ops::Range<usize>, workers: Workers) -> Vec<T::Compute> {
    let columns = x.columns.max(1);
    let mut converted = vec![T::Compute::ZERO; x.columns * rows.len()];
    let pieces: Vec<(&mut [T::Compute], &[T])> =
        if x.column_stride == 1 && x.rows > 1 && x.row_stride > x.columns {
            let x = x.elements.chunks(x.row_stride).skip(rows.start).filter_map(|row| row.get(..x.columns));
            converted.chunks_exact_mut(columns).zip(x).collect()
        } else if x.column_stride == 1 {
            let x = x.elements.get(rows.start * x.columns..rows.end * x.columns).unwrap_or_default();
            converted.chunks_mut(CHUNK).zip(x.chunks(CHUNK)).collect()
        } else {
            let columns = x.elements.chunks_exact(x.rows).map(|x| x.get(rows.clone()).unwrap_or_default());
            converted.chunks_exact_mut(rows.len()).zip(columns).collect()
        };
    match workers {
        Workers::Caller => pieces.into_iter().for_each(|(into, x)| load_into(x, into)),
        Workers::Pool => pieces.into_par_iter().for_each(|(into, x)| load_into(x, into)),
    }
    converted
}

/// What [`convert`] has made of `x`.
fn of_rows<'a, T: Element>(
    converted: &'a [T::Compute],
    x: Matrix<'_, T>,
    rows: usize,
) -> Matrix<'a, T::Compute> {
    let (row_stride, column_stride) = if x.column_stride == 1 { (x.columns, 1) } else { (1, rows) };
    Matrix { elements: converted, rows, columns: x.columns, row_stride, column_stride }
}

fn call<C: Float>(
    left: Matrix<'_, C>,
    right: Matrix<'_, C>,
    result: &mut [C],
    accumulate: bool,
    workers: Workers,
) {
    let parallelism = match workers {
        Workers::Caller => Parallelism::None,
        Workers::Pool => Parallelism::Rayon(0),
    };
    #[expect(unsafe_code, reason = "the matrix kernels take pointers")]
    // SAFETY: whoever makes a `Matrix` ties sizes and strides to the length of its slice, and the callers of this
    // module have checked the length of the result; `result` is borrowed for writing and so overlaps neither of the
    // others, and `Float` is closed over `f32` and `f64`, which `gemm` knows.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            result.as_mut_ptr(),
            1,
            right.columns as isize,
            accumulate,
            left.elements.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.elements.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            C::ONE,
            C::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
}
