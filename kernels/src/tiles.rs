//! Products of rows with rows of `f32` by AVX2 and FMA: both are read as they lie, so that nothing is packed.
//!
//! An element of the product is the sum of 8 partial sums, each of every 8th product, for every [`DEPTH`] elements. It does
//! not depend on the rows beside it.

use std::arch::x86_64::*;
use std::ops::Range;

/// Rows of the weight and inputs that are multiplied together: their 12 sums and what is multiplied fill the registers.
const HEIGHT: usize = 4;
const WIDTH: usize = 3;
/// Elements of a row that are multiplied in one go: those of a few inputs stay in the first cache.
const DEPTH: usize = 2048;
/// Elements of a vector.
const LANES: usize = 8;

/// A proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Tiles(());

impl Tiles {
    pub(crate) fn find() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    /// The products of some rows, which should fit into the second cache, with all inputs: a row's with each input, then the
    /// next row's.
    pub(crate) fn products(self, rows: &[f32], inputs: &[f32], columns: usize, sums: &mut [f32]) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the proof says that the processor has both extensions.
        unsafe {
            products(rows, inputs, columns, sums);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn products(rows: &[f32], inputs: &[f32], columns: usize, sums: &mut [f32]) {
    sums.fill(0.0);
    let count = inputs.len() / columns;
    for start in (0..columns).step_by(DEPTH) {
        let part = start..columns.min(start + DEPTH);
        for (group, inputs) in inputs.chunks(WIDTH * columns).enumerate() {
            for (rows, sums) in rows.chunks(HEIGHT * columns).zip(sums.chunks_mut(HEIGHT * count)) {
                let totals = match inputs.len() / columns {
                    1 => of_width::<1>(rows, inputs, columns, &part),
                    2 => of_width::<2>(rows, inputs, columns, &part),
                    _ => of_width::<WIDTH>(rows, inputs, columns, &part),
                };
                for (sums, totals) in sums.chunks_mut(count).zip(totals) {
                    let sums = sums.iter_mut().skip(group * WIDTH);
                    sums.zip(totals).for_each(|(sum, total)| *sum += total);
                }
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn of_width<const W: usize>(
    rows: &[f32],
    inputs: &[f32],
    columns: usize,
    part: &Range<usize>,
) -> [[f32; WIDTH]; HEIGHT] {
    match rows.len() / columns {
        1 => tile::<1, W>(rows, inputs, columns, part),
        2 => tile::<2, W>(rows, inputs, columns, part),
        3 => tile::<3, W>(rows, inputs, columns, part),
        _ => tile::<HEIGHT, W>(rows, inputs, columns, part),
    }
}

/// The sums of `H` rows with `W` inputs over a part of the columns.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[target_feature(enable = "avx2,fma")]
fn tile<const H: usize, const W: usize>(
    rows: &[f32],
    inputs: &[f32],
    columns: usize,
    part: &Range<usize>,
) -> [[f32; WIDTH]; HEIGHT] {
    assert!(rows.len() >= H * columns && inputs.len() >= W * columns && part.end <= columns);
    let mut sums = [[_mm256_setzero_ps(); W]; H];
    let whole = part.start + part.len() / LANES * LANES;
    let mut at = part.start;
    while at < whole {
        let mut x = [_mm256_setzero_ps(); W];
        #[expect(unsafe_code, reason = "bounds are checked once for all rows")]
        // SAFETY: a vector from `at` on ends within the part, and so within each row.
        unsafe {
            for input in 0..W {
                x[input] = _mm256_loadu_ps(inputs.as_ptr().add(input * columns + at));
            }
            for row in 0..H {
                let weight = _mm256_loadu_ps(rows.as_ptr().add(row * columns + at));
                for input in 0..W {
                    sums[row][input] = _mm256_fmadd_ps(weight, x[input], sums[row][input]);
                }
            }
        }
        at += LANES;
    }
    if at < part.end {
        let left = _mm256_set1_epi32((part.end - at) as i32);
        let mask = _mm256_cmpgt_epi32(left, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        let mut x = [_mm256_setzero_ps(); W];
        #[expect(unsafe_code, reason = "bounds are checked once for all rows")]
        // SAFETY: the mask admits elements of the part only.
        unsafe {
            for input in 0..W {
                x[input] = _mm256_maskload_ps(inputs.as_ptr().add(input * columns + at), mask);
            }
            for row in 0..H {
                let weight = _mm256_maskload_ps(rows.as_ptr().add(row * columns + at), mask);
                for input in 0..W {
                    sums[row][input] = _mm256_fmadd_ps(weight, x[input], sums[row][input]);
                }
            }
        }
    }
    let mut totals = [[0.0; WIDTH]; HEIGHT];
    for row in 0..H {
        for input in 0..W {
            totals[row][input] = total(sums[row][input]);
        }
    }
    totals
}

#[inline]
#[target_feature(enable = "avx2")]
fn total(sums: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}
