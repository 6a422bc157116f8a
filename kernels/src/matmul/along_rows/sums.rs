//! The inner loops: sums of some rows of each matrix are kept in registers.

use std::arch::x86_64::*;
use std::ops::Range;

use super::elements::Multiplied;

/// Sums that are completed together.
const TOGETHER: usize = 16;

/// Sums of `HEIGHT` rows with `WIDTH` others, a partial one in each lane.
pub(super) type Sums<const HEIGHT: usize, const WIDTH: usize> = [[__m512; WIDTH]; HEIGHT];

/// In which order the right rows are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A vector of each, and then the next ones.
    SideBySide,
    OneByOne,
}

/// Sums of nothing yet.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn no_sums<const HEIGHT: usize, const WIDTH: usize>() -> Sums<HEIGHT, WIDTH> {
    [[_mm512_setzero_ps(); WIDTH]; HEIGHT]
}

/// Adds the products of a part of rows to their sums. The left ones are side by side. For each vector of the part so many cache lines,
/// from `ahead` on, are fetched from memory, or one for each vector of each row if these are read one by one.
///
/// # Safety
/// The processor has the instructions for the type.
#[expect(unsafe_code, reason = "bounds are checked once for all rows")]
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[inline(always)]
pub(super) unsafe fn add<T: Multiplied, const HEIGHT: usize, const WIDTH: usize>(
    left: &[T],
    right: [&[T]; WIDTH],
    part: Range<usize>,
    mut sums: Sums<HEIGHT, WIDTH>,
    order: Order,
    (ahead, lines): (&mut *const T, usize),
) -> Sums<HEIGHT, WIDTH> {
    let k = left.len() / HEIGHT;
    let Range { start: first, end } = part;
    for row in right {
        assert!(row.len() == k);
    }
    assert!(first <= end && end <= k);
    let length = end - first;
    let whole = length / T::LANES * T::LANES;
    // SAFETY: before the end of the part, which is in each row, a vector ends, or its count doesn't exceed it. Memory is fetched, not
    // read, wherever it is. The caller vouches for the processor.
    unsafe {
        let mut weights = [_mm512_setzero_si512(); WIDTH];
        match order {
            Order::OneByOne => {
                for column in 0..WIDTH {
                    for start in (first..first + whole).step_by(T::LANES) {
                        _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                        *ahead = ahead.wrapping_add(T::LANES);
                        let weights = T::load_whole(right[column].as_ptr().add(start));
                        for row in 0..HEIGHT {
                            let inputs = T::load_whole(left.as_ptr().add(row * k + start));
                            sums[row][column] = T::add(inputs, weights, sums[row][column]);
                        }
                    }
                }
            }
            Order::SideBySide => {
                for start in (first..first + whole).step_by(T::LANES) {
                    for _ in 0..lines {
                        _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                        *ahead = ahead.wrapping_add(T::LANES);
                    }
                    for column in 0..WIDTH {
                        weights[column] = T::load_whole(right[column].as_ptr().add(start));
                    }
                    for row in 0..HEIGHT {
                        let inputs = T::load_whole(left.as_ptr().add(row * k + start));
                        for column in 0..WIDTH {
                            sums[row][column] = T::add(inputs, weights[column], sums[row][column]);
                        }
                    }
                }
            }
        }
        if whole < length {
            for column in 0..WIDTH {
                weights[column] = T::load_some(right[column].as_ptr().add(first + whole), length - whole);
            }
            for row in 0..HEIGHT {
                let inputs = T::load_some(left.as_ptr().add(row * k + first + whole), length - whole);
                for column in 0..WIDTH {
                    sums[row][column] = T::add(inputs, weights[column], sums[row][column]);
                }
            }
        }
    }
    sums
}

/// Completes sums: halves of a vector are added until one number is left.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn complete<const HEIGHT: usize, const WIDTH: usize>(
    sums: Sums<HEIGHT, WIDTH>,
) -> [[f32; WIDTH]; HEIGHT] {
    let mut complete = [[0.0; WIDTH]; HEIGHT];
    if HEIGHT * WIDTH == TOGETHER {
        let mut all = [_mm512_setzero_ps(); TOGETHER];
        for place in 0..TOGETHER {
            all[place] = sums[place / WIDTH][place % WIDTH];
        }
        let all = complete_sixteen(all);
        for place in 0..TOGETHER {
            complete[place / WIDTH][place % WIDTH] = all[place];
        }
    } else {
        for row in 0..HEIGHT {
            for column in 0..WIDTH {
                complete[row][column] = _mm512_reduce_add_ps(sums[row][column]);
            }
        }
    }
    complete
}

/// As `_mm512_reduce_add_ps` does it, bit by bit, with a fifth of the instructions.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[inline]
#[target_feature(enable = "avx512f")]
fn complete_sixteen(vectors: [__m512; TOGETHER]) -> [f32; TOGETHER] {
    // At the end those four whose places differ by one are in one quarter of a vector.
    let place = |quarter: usize| quarter % 4 * 4 + quarter / 4;
    let [mut eights, mut fours, mut twos] =
        [[_mm512_setzero_ps(); 8], [_mm512_setzero_ps(); 8], [_mm512_setzero_ps(); 8]];
    for i in 0..8 {
        let (a, b) = (vectors[place(2 * i)], vectors[place(2 * i + 1)]);
        let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
        eights[i] = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b));
    }
    for i in 0..4 {
        let (a, b) = (eights[2 * i], eights[2 * i + 1]);
        let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
        fours[i] = _mm512_add_ps(even, _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
    }
    for i in 0..2 {
        let (a, b) = (_mm512_castps_pd(fours[2 * i]), _mm512_castps_pd(fours[2 * i + 1]));
        let low = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        twos[i] = _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    let even = _mm512_shuffle_ps::<0b10_00_10_00>(twos[0], twos[1]);
    let sums = _mm512_add_ps(even, _mm512_shuffle_ps::<0b11_01_11_01>(twos[0], twos[1]));
    let mut numbers = [0.0; TOGETHER];
    #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
    // SAFETY: 16 numbers have the size of a vector.
    unsafe {
        _mm512_storeu_ps(numbers.as_mut_ptr(), sums);
    }
    numbers
}
