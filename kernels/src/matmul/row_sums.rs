//! The product of few rows of `f32` by AVX-512: the right matrix passes by once, as it lies in memory.
//!
//! An element of the product is the sum of 16 partial sums, each of every 16th product along the inner dimension.

use std::arch::x86_64::*;

use rayon::prelude::*;

use crate::Element;
use crate::by_rows::split_columns;
use crate::element::{Known, KnownMut};
use crate::matrix::{Matrix, Workers};

/// Rows of the left matrix, at most. The `gemm` crate reads the right matrix as fast for one row, and again for each
/// further one.
const ROWS: usize = 8;
/// Elements of a vector.
const LANES: usize = 16;
/// Rows of the right matrix that are multiplied together.
const PAIR: usize = 2;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;

/// `result = left right`, or `result += left right`, if this is a product of few rows that the processor has these
/// instructions for; says whether it is. The right matrix must be the transpose of one whose rows lie side by side.
pub(super) fn multiply<T: Element, O: Element<Compute = T::Compute>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) -> bool {
    let (m, k, n) = (left.rows, left.columns, right.columns);
    let shaped = (2..=ROWS).contains(&m)
        && k > 0
        && n > 0
        && (left.column_stride, left.row_stride) == (1, k)
        && (right.row_stride, right.column_stride) == (1, k);
    let (Known::F32(a), Known::F32(b), KnownMut::F32(c), true) =
        (T::known(left.elements), T::known(right.elements), O::known_mut(result), shaped)
    else {
        return false;
    };
    if !is_x86_feature_detected!("avx512f") {
        return false;
    }
    let columns = (n / 32).clamp(1, 256).next_multiple_of(PAIR);
    let parts = split_columns(c, n, columns);
    let work = |(into, weight): (Vec<&mut [f32]>, &[f32])| {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the processor has just been asked for AVX-512F.
        unsafe {
            run(a, weight, k, into, accumulate);
        }
    };
    match workers {
        Workers::Pool if m * n * k >= SMALL => {
            parts.into_par_iter().zip(b.par_chunks(columns * k)).with_max_len(1).for_each(work);
        }
        _ => parts.into_iter().zip(b.chunks(columns * k)).for_each(work),
    }
    true
}

/// Computes the columns that belong to these rows of the right matrix.
#[target_feature(enable = "avx512f")]
fn run(left: &[f32], right: &[f32], k: usize, mut into: Vec<&mut [f32]>, accumulate: bool) {
    for (pair, weights) in right.chunks(PAIR * k).enumerate() {
        // The last row stands for the one that there is not.
        let (first, rest) = weights.split_at_checked(k).unwrap_or_default();
        let second = if rest.is_empty() { first } else { rest };
        let sums = match into.len() {
            2 => sums::<2>(left, first, second),
            3 => sums::<3>(left, first, second),
            4 => sums::<4>(left, first, second),
            5 => sums::<5>(left, first, second),
            6 => sums::<6>(left, first, second),
            7 => sums::<7>(left, first, second),
            _ => sums::<8>(left, first, second),
        };
        for (row, sums) in into.iter_mut().zip(&sums) {
            let into = row.iter_mut().skip(pair * PAIR);
            into.zip(sums).for_each(|(into, sum)| *into = if accumulate { *into + sum } else { *sum });
        }
    }
}

/// The sums of two rows of the right matrix with each row of the left one.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[target_feature(enable = "avx512f")]
fn sums<const HEIGHT: usize>(left: &[f32], first: &[f32], second: &[f32]) -> [[f32; PAIR]; ROWS] {
    let k = first.len();
    assert!(left.len() >= HEIGHT * k && second.len() == k);
    let mut sums = [[_mm512_setzero_ps(); PAIR]; HEIGHT];
    let whole = k / LANES * LANES;
    let mut start = 0;
    while start < k {
        #[expect(unsafe_code, reason = "bounds are checked once for all rows")]
        // SAFETY: a vector from `start` on ends within the row, or the mask admits elements below `k` only.
        unsafe {
            let mask = if start < whole { u16::MAX } else { u16::MAX >> (LANES - (k - start)) };
            let (mut weights, mut inputs) = ([_mm512_setzero_ps(); PAIR], [_mm512_setzero_ps(); HEIGHT]);
            weights[0] = _mm512_maskz_loadu_ps(mask, first.as_ptr().add(start));
            weights[1] = _mm512_maskz_loadu_ps(mask, second.as_ptr().add(start));
            for row in 0..HEIGHT {
                inputs[row] = _mm512_maskz_loadu_ps(mask, left.as_ptr().add(row * k + start));
            }
            for row in 0..HEIGHT {
                for column in 0..PAIR {
                    sums[row][column] = _mm512_fmadd_ps(inputs[row], weights[column], sums[row][column]);
                }
            }
        }
        start += LANES;
    }
    let mut totals = [[0.0; PAIR]; ROWS];
    for row in 0..HEIGHT {
        for column in 0..PAIR {
            totals[row][column] = _mm512_reduce_add_ps(sums[row][column]);
        }
    }
    totals
}
