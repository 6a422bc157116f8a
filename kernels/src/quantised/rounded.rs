//! Products of weights of few bits with inputs that are rounded to whole numbers, by AVX2: an instruction multiplies 16 of them,
//! and elements of a weight are made in registers.
//!
//! Inputs are of 16 bits themselves. Each [`UNIT`] of them has a power of two of its own, as large as lets its greatest become a
//! number of 15 bits and a sign. So an element of `bf16`, which has 8 bits, stays what it is unless the greatest is more than 128
//! times as large, and one of `f16` unless it is more than 16 times as large. An element of a product is the sum of 8 partial sums, each over units, of exact sums; it does not depend on
//! the other inputs. Of a unit with a number that is not finite everything becomes NaN.

use std::arch::x86_64::*;
use std::ops::Range;

use rayon::prelude::*;

use crate::ahead::Ahead;
use crate::element::Known;
use crate::vectorised::vectorised;
use crate::{Element, Float};

/// Elements of an input, or of a row, that have a scale of their own.
pub(super) const UNIT: usize = 64;
/// Bits of the magnitude of an input.
const BITS: u32 = 15;
/// The greatest whole number that an element of a weight may become: the eight products that a lane adds up for a unit stay
/// below 2^31.
pub(super) const GREATEST: usize = (1 << 31) / (8 << BITS) - 1;
/// Inputs that are multiplied together, at most: their sums and a unit of a row fill the registers.
const INPUTS: usize = 8;
/// Units of so many inputs that are multiplied in one go, and more of fewer: they stay in the first cache.
const DEPTH: usize = 16;
/// Partial sums of a product.
const LANES: usize = 8;

/// A unit in the order in which a row's elements come out of their decoder.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Unit([i16; UNIT]);

/// Rounded inputs, which exist only on processors that have AVX2 and FMA.
pub(crate) struct Rounded {
    /// For each group of [`INPUTS`], of which the last may be smaller: the first unit of each of them, then their second ones.
    units: Vec<Unit>,
    /// In the same order.
    scales: Vec<f32>,
    /// Units of an input.
    length: usize,
}

/// How units of a row become whole numbers of at most [`GREATEST`].
pub(super) trait Decoder: Copy {
    /// A unit as it is stored.
    type Stored: Sync;
    /// What 1 becomes.
    const ONE: f32;
    /// Which elements of a unit come out of [`Decoder::decode`], one after the other.
    const ORDER: [usize; UNIT];

    /// # Safety
    /// The processor has AVX2.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn new() -> Self;

    /// # Safety
    /// The processor has AVX2.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn decode(self, stored: &Self::Stored) -> [__m256i; 4];
}

/// Whether there are such products with rows of so many elements.
pub(super) fn has_products<T: Element>(columns: usize) -> bool {
    matches!(T::known(&[]), Known::Bf16(_) | Known::F16(_))
        && columns.is_multiple_of(UNIT)
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
}

impl Rounded {
    /// Rounds inputs, of so many columns, for rows that this decoder decodes, where [there are products](has_products) of them.
    pub(super) fn new<D: Decoder, T: Element>(x: &[T], columns: usize) -> Option<Self> {
        if !has_products::<T>(columns) {
            return None;
        }
        let count = x.len() / UNIT;
        let (mut units, mut scales) = (vec![Unit([0; UNIT]); count], vec![0.0; count]);
        let group = INPUTS * columns;
        let tasks = x.par_chunks(group).zip(units.par_chunks_mut(group / UNIT));
        tasks.zip(scales.par_chunks_mut(group / UNIT)).for_each(|((x, units), scales)| match T::known(x) {
            Known::Bf16(x) => round(x, columns, &D::ORDER, D::ONE, units, scales),
            Known::F16(x) => round(x, columns, &D::ORDER, D::ONE, units, scales),
            Known::F32(_) | Known::F64(_) => {}
        });
        Some(Self { units, scales, length: columns / UNIT })
    }

    /// The units of some rows, of as many columns.
    pub(super) fn units_of(&self, rows: Range<usize>) -> Range<usize> {
        rows.start * self.length..rows.end * self.length
    }

    /// The products of some rows of a weight, whose units have these scales, with all inputs: an input's with each row, then the
    /// next input's. What follows in the weight is fetched from memory meanwhile.
    pub(super) fn products<D: Decoder>(
        &self,
        weight: &[D::Stored],
        rows: Range<usize>,
        scales: &[f32],
        sums: &mut [f32],
    ) {
        let Range { start, end } = self.units_of(rows);
        let next = weight.get(end..weight.len().min(end + (end - start))).unwrap_or_default();
        let rows = weight.get(start..end).unwrap_or_default();
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: inputs that are rounded exist only where the processor has the extensions.
        unsafe {
            products::<D>(self, (rows, scales), sums, Ahead::new(next));
        }
    }
}

vectorised! {
    /// Rounds inputs of so many columns, whose units alternate. Scales are divided by what 1 becomes in rows.
    fn round<T: Element>(
        x: &[T],
        columns: usize,
        order: &[usize; UNIT],
        one: f32,
        units: &mut [Unit],
        scales: &mut [f32],
    ) {
        /// Adding it leaves the nearest whole number in the low bits of the sum.
        const ROUNDER: f32 = 12_582_912.0;
        const MAGNITUDE: u32 = !0 >> 1;
        /// Where the exponent is.
        const EXPONENT: u32 = f32::MANTISSA_DIGITS - 1;
        /// The exponent of what is not finite.
        const NOT_FINITE: u32 = 255;
        let count = x.len() / columns;
        for (place, x) in x.as_chunks::<UNIT>().0.iter().enumerate() {
            let (input, place) = (place / (columns / UNIT), place % (columns / UNIT));
            let place = place * count + input;
            let (Some(unit), Some(scale)) = (units.get_mut(place), scales.get_mut(place)) else { return };
            let (mut numbers, mut greatest) = ([0f32; UNIT], 0);
            for (number, x) in numbers.iter_mut().zip(x) {
                *number = x.load().widen() as f32;
                greatest = greatest.max(number.to_bits() & MAGNITUDE);
            }
            let exponent = greatest >> EXPONENT;
            if exponent == NOT_FINITE {
                (unit.0, *scale) = ([0; UNIT], f32::NAN);
                continue;
            }
            // What is greatest has fewer bits than this, so that it is not rounded upwards.
            let exponent = exponent.max(BITS) - (BITS - 1);
            *scale = f32::from_bits(exponent << EXPONENT) / one;
            let inverse = f32::from_bits((254 - exponent) << EXPONENT);
            let mut whole = [0i16; UNIT];
            for (whole, number) in whole.iter_mut().zip(numbers) {
                *whole = (number * inverse + ROUNDER).to_bits() as i16;
            }
            for (into, &place) in unit.0.iter_mut().zip(order) {
                *into = whole.get(place).copied().unwrap_or_default();
            }
        }
    }
}

/// As [`Rounded::products`].
#[target_feature(enable = "avx2,fma")]
fn products<D: Decoder>(
    inputs: &Rounded,
    (rows, scales): (&[D::Stored], &[f32]),
    sums: &mut [f32],
    mut next: Ahead,
) {
    let length = inputs.length;
    let (height, count) = (rows.len() / length, inputs.units.len() / length);
    let share = next.share(count.div_ceil(INPUTS) * height);
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    // SAFETY: the function is called where the processor has them.
    let decoder = unsafe { D::new() };
    let mut lanes = Vec::new();
    for (first, sums) in (0..count).step_by(INPUTS).zip(sums.chunks_mut(INPUTS * height)) {
        let here = sums.len() / height;
        let depth = DEPTH * INPUTS / here;
        lanes.clear();
        lanes.resize(sums.len(), [0.0; LANES]);
        for start in (0..length).step_by(depth) {
            let depth = depth.min(length - start);
            let from = first * length + start * here;
            let part = from..from + depth * here;
            let of_inputs = (inputs.units.get(part.clone()), inputs.scales.get(part));
            let (Some(units), Some(unit_scales)) = of_inputs else { return };
            for (row, lanes) in lanes.chunks_mut(here).enumerate() {
                if start == 0 {
                    next.fetch(share);
                }
                let part = row * length + start..row * length + start + depth;
                let (Some(row), Some(scales)) = (rows.get(part.clone()), scales.get(part)) else { return };
                match here {
                    1 => tile::<D, 1>(decoder, row, scales, units, unit_scales, lanes),
                    2 => tile::<D, 2>(decoder, row, scales, units, unit_scales, lanes),
                    3 => tile::<D, 3>(decoder, row, scales, units, unit_scales, lanes),
                    4 => tile::<D, 4>(decoder, row, scales, units, unit_scales, lanes),
                    5 => tile::<D, 5>(decoder, row, scales, units, unit_scales, lanes),
                    6 => tile::<D, 6>(decoder, row, scales, units, unit_scales, lanes),
                    7 => tile::<D, 7>(decoder, row, scales, units, unit_scales, lanes),
                    _ => tile::<D, 8>(decoder, row, scales, units, unit_scales, lanes),
                }
            }
        }
        for (input, sums) in sums.chunks_mut(height).enumerate() {
            for (row, into) in sums.iter_mut().enumerate() {
                if let Some(lanes) = lanes.get(row * here + input) {
                    *into = sum(lanes);
                }
            }
        }
    }
}

/// Adds the products of a part of a row with the same part of `N` inputs to their partial sums.
#[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
#[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
#[target_feature(enable = "avx2,fma")]
fn tile<D: Decoder, const N: usize>(
    decoder: D,
    row: &[D::Stored],
    scales: &[f32],
    units: &[Unit],
    unit_scales: &[f32],
    lanes: &mut [[f32; LANES]],
) {
    let depth = row.len();
    assert!(scales.len() == depth && units.len() == depth * N && unit_scales.len() == depth * N);
    assert!(lanes.len() == N);
    let (mut units, mut unit_scales) = (units.as_ptr(), unit_scales.as_ptr());
    let mut sums = [_mm256_setzero_ps(); N];
    #[expect(unsafe_code, reason = "bounds are checked once for all units")]
    // SAFETY: the row has `depth` units and scales, and so has each of the `N` inputs, whose units are aligned; there are as many
    // partial sums as a vector has lanes for each of them.
    unsafe {
        for input in 0..N {
            sums[input] = _mm256_loadu_ps(lanes[input].as_ptr());
        }
        for at in 0..depth {
            let whole = decoder.decode(row.get_unchecked(at));
            let scale = *scales.get_unchecked(at);
            for input in 0..N {
                let x: *const __m256i = units.add(input).cast();
                let a = _mm256_madd_epi16(whole[0], _mm256_load_si256(x));
                let b = _mm256_madd_epi16(whole[1], _mm256_load_si256(x.add(1)));
                let c = _mm256_madd_epi16(whole[2], _mm256_load_si256(x.add(2)));
                let d = _mm256_madd_epi16(whole[3], _mm256_load_si256(x.add(3)));
                let total = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
                let scale = _mm256_set1_ps(scale * *unit_scales.add(input));
                sums[input] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, sums[input]);
            }
            (units, unit_scales) = (units.add(N), unit_scales.add(N));
        }
        for input in 0..N {
            _mm256_storeu_ps(lanes[input].as_mut_ptr(), sums[input]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(lanes: &[f32; LANES]) -> f32 {
    #[expect(unsafe_code, reason = "a vector is loaded by a pointer")]
    // SAFETY: there are as many numbers as a vector has lanes.
    let vector = unsafe { _mm256_loadu_ps(lanes.as_ptr()) };
    let four = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}
