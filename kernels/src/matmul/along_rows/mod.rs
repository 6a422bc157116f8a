//! The product along the rows of both matrices by AVX-512: of few rows with a weight, which passes by once, as it lies in memory.
//!
//! An element of the product is the sum of 16 partial sums, each of every 16th product along the inner dimension, or of `bf16` of
//! every 16th pair of them. It does not depend on the rows beside it, if these are as few.

mod elements;
mod sums;

pub(super) use elements::Multiplied;
use rayon::prelude::*;
use sums::{Order, add, complete, no_sums};

use crate::Element;
use crate::by_rows::split_columns;
use crate::matrix::{Matrix, Workers};

/// Rows of the left matrix that are multiplied with several of the right one at once. More of them are taken [`SIDE`] at a time.
const FEW: usize = 8;
/// Rows of either matrix that are multiplied together then: their sums and the vectors that are added fill half of the registers.
const SIDE: usize = 4;
/// Rows of the right matrix that are multiplied one after the other with a single one, if they are short: memory gives a tenth more in
/// this order than if several are read side by side.
const GROUP: usize = 16;
/// Bytes of a short row.
const SHORT: usize = 4 << 10;
/// Bytes between what is multiplied and what is fetched meanwhile: the memory's answer takes as long as they do.
const AHEAD: usize = 32 << 10;
/// The same where rows are multiplied one after the other.
const AHEAD_OF_ONE: usize = 4 << 10;
/// Bytes of a row that are multiplied at a time, if it is to be multiplied with more than one group of others: those of [`SIDE`] rows of
/// each side stay in the first cache.
const PART: usize = 4 << 10;
/// Bytes of rows of the left matrix that are multiplied with the same of the right one: both stay in the second cache.
const LEFT: usize = 256 << 10;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;

/// Some rows of both matrices, of `k` elements each. There may be more on the right than are multiplied.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, T> {
    left: &'a [T],
    right: &'a [T],
    k: usize,
    /// Whether the right ones are still in memory, from where those that come next are fetched.
    fetch: bool,
}

/// `result = left right^T`, or `result += left right^T`, if this is a product that the processor has instructions for and that
/// is best computed so; says whether it is. Rows of both must lie side by side.
pub(super) fn multiply<T: Multiplied, O: Element<Compute = f32>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) -> bool {
    let (m, k, n) = (left.rows, left.columns, right.rows);
    let fits = (1..=T::ROWS).contains(&m)
        && k > 0
        && n > 0
        && (left.column_stride, left.row_stride) == (1, k)
        && (right.column_stride, right.row_stride) == (1, k);
    if !fits || !T::is_supported() {
        return false;
    }
    let columns = (n / 32).clamp(1, 256).next_multiple_of(GROUP);
    let parts = split_columns(result, n, columns).into_iter().enumerate();
    let work = |(part, into): (usize, Vec<&mut [O]>)| {
        let right = right.elements.get(part * columns * k..).unwrap_or_default();
        multiply_part(left.elements, right, k, into, accumulate);
    };
    match workers {
        Workers::Pool if m * n * k >= SMALL => {
            parts.collect::<Vec<_>>().into_par_iter().with_max_len(1).for_each(work);
        }
        _ => parts.for_each(work),
    }
    true
}

/// Computes the columns of the product that belong to the first of these rows of the right matrix.
fn multiply_part<T: Multiplied, O: Element<Compute = f32>>(
    left: &[T],
    right: &[T],
    k: usize,
    mut into: Vec<&mut [O]>,
    accumulate: bool,
) {
    let bytes = k * size_of::<T>();
    // So many rows of the left matrix that no group of them is smaller than it has to be.
    let rows = if into.len() <= FEW { FEW } else { (LEFT / bytes).max(1).next_multiple_of(SIDE) };
    for (index, (left, into)) in left.chunks(rows * k).zip(into.chunks_mut(rows)).enumerate() {
        let part = Part { left, right, k, fetch: index == 0 };
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: whoever calls this has asked the processor for them.
        unsafe {
            match into.len() {
                1 if bytes <= SHORT => T::run::<_, 1, GROUP>(part, into, accumulate),
                1 => T::run::<_, 1, 8>(part, into, accumulate),
                2 => T::run::<_, 2, 8>(part, into, accumulate),
                3 => T::run::<_, 3, 4>(part, into, accumulate),
                5 => T::run::<_, 5, 2>(part, into, accumulate),
                6 => T::run::<_, 6, 2>(part, into, accumulate),
                7 => T::run::<_, 7, 2>(part, into, accumulate),
                8 => T::run::<_, 8, 2>(part, into, accumulate),
                _ => T::run::<_, SIDE, SIDE>(part, into, accumulate),
            }
        }
    }
}

/// Computes as many columns of the product as there are in `into`, `WIDTH` at a time, and of each `HEIGHT` rows at a time, of which there
/// must be that many at least.
///
/// # Safety
/// The processor has the instructions for the type.
#[expect(unsafe_code, reason = "instructions that not every processor has")]
#[inline(always)]
unsafe fn run<T: Multiplied, O: Element<Compute = f32>, const HEIGHT: usize, const WIDTH: usize>(
    Part { left, right, k, fetch }: Part<'_, T>,
    into: &mut [&mut [O]],
    accumulate: bool,
) {
    let (rows, columns) = (into.len(), into.first().map_or(0, |row| row.len()));
    let groups = rows.div_ceil(HEIGHT);
    let lines = if fetch { WIDTH.div_ceil(groups) } else { 0 };
    let depth = if groups == 1 { k } else { depth::<T>(k) };
    let order = if WIDTH == GROUP { Order::OneByOne } else { Order::SideBySide };
    let mut partial = Vec::new();
    if depth < k {
        // SAFETY: the caller vouches for the processor.
        partial.resize(groups, unsafe { no_sums::<HEIGHT, WIDTH>() });
    }
    for first in (0..columns).step_by(WIDTH) {
        let count = WIDTH.min(columns - first);
        let mut of_right = [&[][..]; WIDTH];
        for (column, of_right) in of_right.iter_mut().enumerate() {
            // The last column stands for those that there are not.
            let row = (first + column.min(count - 1)) * k;
            *of_right = right.get(row..row + k).unwrap_or_default();
        }
        let ahead = if order == Order::OneByOne {
            first * k + AHEAD_OF_ONE / size_of::<T>()
        } else {
            (first + count) * k + AHEAD / size_of::<T>()
        };
        let mut ahead = right.as_ptr().wrapping_add(ahead);
        for start in (0..k).step_by(depth) {
            let end = k.min(start + depth);
            for (group, into) in into.chunks_mut(HEIGHT).enumerate() {
                // The last rows that there are, of which some are not wanted then.
                let unwanted = HEIGHT - into.len();
                let top = group * HEIGHT - unwanted;
                let of_left = left.get(top * k..(top + HEIGHT) * k).unwrap_or_default();
                // SAFETY: the caller vouches for the processor.
                let sums = unsafe {
                    let before = if start == 0 { None } else { partial.get(group).copied() };
                    let before = before.unwrap_or(no_sums());
                    add::<T, HEIGHT, WIDTH>(of_left, of_right, start..end, before, order, (&mut ahead, lines))
                };
                if end < k {
                    partial.iter_mut().skip(group).take(1).for_each(|partial| *partial = sums);
                    continue;
                }
                // SAFETY: as above.
                let sums = unsafe { complete(sums) };
                for (row, sums) in into.iter_mut().zip(sums.iter().skip(unwanted)) {
                    let into = row.get_mut(first..first + count).unwrap_or_default();
                    for (into, &sum) in into.iter_mut().zip(sums) {
                        *into = O::store(if accumulate { into.load() + sum } else { sum });
                    }
                }
            }
        }
    }
}

/// Elements of a row that are multiplied at a time: as many each time, in whole vectors.
fn depth<T: Multiplied>(k: usize) -> usize {
    let parts = (k * size_of::<T>()).div_ceil(PART);
    k.div_ceil(parts).next_multiple_of(T::LANES)
}
