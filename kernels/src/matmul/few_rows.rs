//! The product of few rows by AVX-512: the right matrix passes by once, as it lies in memory.
//!
//! An element of the product is the sum of 16 partial sums, each of every 16th product along the inner dimension, or of `bf16` of
//! every 16th pair of them. It does not depend on the rows beside it, if these are as few.

use std::arch::x86_64::*;

use half::bf16;
use rayon::prelude::*;

use super::packed::Packed;
use crate::Element;
use crate::bfloat16::as_pairs;
use crate::by_rows::split_columns;
use crate::matrix::{Matrix, Workers};

/// Rows of the left matrix, at most. With more of them packing the right matrix pays.
const ROWS: usize = 8;
/// Rows of the right matrix that are multiplied together, at most.
const GROUP: usize = 8;
/// Bytes between what is multiplied and what is fetched meanwhile: the memory's answer takes as long as they do.
const AHEAD: usize = 32 << 10;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;

/// Types of elements that there are such products of.
pub(super) trait Multiplied: Element<Compute = f32> {
    /// Elements of a vector.
    const LANES: usize;

    /// Whether the processor has the instructions of the others.
    fn is_supported() -> bool;

    /// So many elements of a vector, and zeros for the others.
    ///
    /// # Safety
    /// There are as many, and the processor has the instructions.
    #[expect(unsafe_code, reason = "reads memory without asking for its bounds")]
    unsafe fn load_some(from: *const Self, count: usize) -> __m512i;

    /// As [`Multiplied::load_some`], of all elements of a vector.
    ///
    /// # Safety
    /// As there.
    #[expect(unsafe_code, reason = "reads memory without asking for its bounds")]
    unsafe fn load_whole(from: *const Self) -> __m512i;

    /// Adds products.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn add(a: __m512i, b: __m512i, sums: __m512) -> __m512;

    /// [`run`], compiled for the instructions.
    ///
    /// # Safety
    /// The processor has them.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn run<O: Element<Compute = f32>, const HEIGHT: usize, const WIDTH: usize>(
        left: &[Self],
        right: &[Self],
        into: Vec<&mut [O]>,
        accumulate: bool,
    );
}

#[expect(unsafe_code, reason = "as declared")]
impl Multiplied for f32 {
    const LANES: usize = 16;

    fn is_supported() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_some(from: *const Self, count: usize) -> __m512i {
        let mask = u16::MAX >> (Self::LANES - count.clamp(1, Self::LANES));
        // SAFETY: the mask admits elements that there are.
        unsafe { _mm512_maskz_loadu_epi32(mask, from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_whole(from: *const Self) -> __m512i {
        // SAFETY: there are as many elements.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn add(a: __m512i, b: __m512i, sums: __m512) -> __m512 {
        _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sums)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn run<O: Element<Compute = f32>, const HEIGHT: usize, const WIDTH: usize>(
        left: &[Self],
        right: &[Self],
        into: Vec<&mut [O]>,
        accumulate: bool,
    ) {
        // SAFETY: the processor has the instructions.
        unsafe { run::<Self, O, HEIGHT, WIDTH>(left, right, into, accumulate) }
    }
}

#[expect(unsafe_code, reason = "as declared")]
impl Multiplied for bf16 {
    const LANES: usize = 32;

    fn is_supported() -> bool {
        <Self as Packed>::supported()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn load_some(from: *const Self, count: usize) -> __m512i {
        let mask = u32::MAX >> (Self::LANES - count.clamp(1, Self::LANES));
        // SAFETY: the mask admits elements that there are.
        unsafe { _mm512_maskz_loadu_epi16(mask, from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn load_whole(from: *const Self) -> __m512i {
        // SAFETY: there are as many elements.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn add(a: __m512i, b: __m512i, sums: __m512) -> __m512 {
        _mm512_dpbf16_ps(sums, as_pairs(a), as_pairs(b))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn run<O: Element<Compute = f32>, const HEIGHT: usize, const WIDTH: usize>(
        left: &[Self],
        right: &[Self],
        into: Vec<&mut [O]>,
        accumulate: bool,
    ) {
        // SAFETY: the processor has the instructions.
        unsafe { run::<Self, O, HEIGHT, WIDTH>(left, right, into, accumulate) }
    }
}

/// `result = left right^T`, or `result += left right^T`, if this is a product of few rows that the processor has instructions
/// for; says whether it is. Rows of both must lie side by side.
pub(super) fn multiply<T: Multiplied, O: Element<Compute = f32>>(
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) -> bool {
    let (m, k, n) = (left.rows, left.columns, right.rows);
    let fits = (1..=ROWS).contains(&m)
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
        let rows = right.elements.get(part * columns * k..).unwrap_or_default();
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the processor has just been asked for them.
        unsafe {
            match m {
                1 => T::run::<_, 1, 8>(left.elements, rows, into, accumulate),
                2 => T::run::<_, 2, 8>(left.elements, rows, into, accumulate),
                3 => T::run::<_, 3, 4>(left.elements, rows, into, accumulate),
                4 => T::run::<_, 4, 4>(left.elements, rows, into, accumulate),
                5 => T::run::<_, 5, 2>(left.elements, rows, into, accumulate),
                6 => T::run::<_, 6, 2>(left.elements, rows, into, accumulate),
                7 => T::run::<_, 7, 2>(left.elements, rows, into, accumulate),
                _ => T::run::<_, 8, 2>(left.elements, rows, into, accumulate),
            }
        }
    };
    match workers {
        Workers::Pool if m * n * k >= SMALL => {
            parts.collect::<Vec<_>>().into_par_iter().with_max_len(1).for_each(work);
        }
        _ => parts.for_each(work),
    }
    true
}

/// Computes the columns of the product that belong to the first of these rows of the right matrix, `WIDTH` at a time. Those that
/// come next are fetched from memory meanwhile.
///
/// # Safety
/// The processor has the instructions for the type.
#[expect(unsafe_code, reason = "instructions that not every processor has")]
#[inline(always)]
unsafe fn run<T: Multiplied, O: Element<Compute = f32>, const HEIGHT: usize, const WIDTH: usize>(
    left: &[T],
    right: &[T],
    mut into: Vec<&mut [O]>,
    accumulate: bool,
) {
    let k = left.len() / HEIGHT;
    let columns = into.first().map_or(0, |row| row.len());
    for first in (0..columns).step_by(WIDTH) {
        let count = WIDTH.min(columns - first);
        let mut group = [&[][..]; WIDTH];
        for (row, of_group) in group.iter_mut().enumerate() {
            // The last row stands for those that there are not.
            let start = (first + row.min(count - 1)) * k;
            *of_group = right.get(start..start + k).unwrap_or_default();
        }
        let ahead = right.as_ptr().wrapping_add((first + count) * k + AHEAD / size_of::<T>());
        // SAFETY: the caller vouches for the processor.
        let sums = unsafe { sums::<T, HEIGHT, WIDTH>(left, group, ahead) };
        for (row, sums) in into.iter_mut().zip(&sums) {
            let into = row.get_mut(first..first + count).unwrap_or_default();
            for (into, &sum) in into.iter_mut().zip(sums) {
                *into = O::store(if accumulate { into.load() + sum } else { sum });
            }
        }
    }
}

/// The sums of some rows of the right matrix with each row of the left one. As many elements from `ahead` on, or from beyond the
/// end of the matrix, are fetched.
///
/// # Safety
/// The processor has the instructions for the type.
#[expect(unsafe_code, reason = "bounds are checked once for all rows")]
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[inline(always)]
unsafe fn sums<T: Multiplied, const HEIGHT: usize, const WIDTH: usize>(
    left: &[T],
    group: [&[T]; WIDTH],
    mut ahead: *const T,
) -> [[f32; WIDTH]; HEIGHT] {
    let k = left.len() / HEIGHT;
    for row in group {
        assert!(row.len() == k);
    }
    let whole = k / T::LANES * T::LANES;
    let mut totals = [[0.0; WIDTH]; HEIGHT];
    // SAFETY: all rows have `k` elements, before which a vector ends, or which its count doesn't exceed. The caller vouches for
    // the processor.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); WIDTH]; HEIGHT];
        let mut weights = [_mm512_setzero_si512(); WIDTH];
        for start in (0..whole).step_by(T::LANES) {
            for column in 0..WIDTH {
                _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                ahead = ahead.wrapping_add(T::LANES);
                weights[column] = T::load_whole(group[column].as_ptr().add(start));
            }
            for row in 0..HEIGHT {
                let inputs = T::load_whole(left.as_ptr().add(row * k + start));
                for column in 0..WIDTH {
                    sums[row][column] = T::add(inputs, weights[column], sums[row][column]);
                }
            }
        }
        if whole < k {
            for column in 0..WIDTH {
                weights[column] = T::load_some(group[column].as_ptr().add(whole), k - whole);
            }
            for row in 0..HEIGHT {
                let inputs = T::load_some(left.as_ptr().add(row * k + whole), k - whole);
                for column in 0..WIDTH {
                    sums[row][column] = T::add(inputs, weights[column], sums[row][column]);
                }
            }
        }
        for row in 0..HEIGHT {
            for column in 0..WIDTH {
                totals[row][column] = _mm512_reduce_add_ps(sums[row][column]);
            }
        }
    }
    totals
}
