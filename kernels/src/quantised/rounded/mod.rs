//! Products of weights of few bits with inputs that are rounded to whole numbers, by AVX2 or AVX512-VNNI: an instruction multiplies
//! 16 or 32 of them, and elements of a weight are made in registers.
//!
//! Inputs are of 16 bits themselves. Each [`UNIT`] of them has a power of two of its own, as large as lets its greatest become a
//! number of 15 bits and a sign. So an element of `bf16`, which has 8 bits, stays what it is unless the greatest is more than 128
//! times as large, and one of `f16` unless it is more than 16 times as large. An element of a product is the sum of 8 or 16 partial
//! sums, each over units, of exact sums; it does not depend on the other inputs. Of a unit with a number that is not finite everything
//! becomes NaN.

mod products;
mod tiles;

use std::arch::x86_64::*;
use std::ops::Range;

use products::products;
use rayon::prelude::*;
use tiles::{Avx2, Vnni};

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
pub(super) trait Decoder {
    /// A unit as it is stored.
    type Stored: Sync;
    /// What [`Decoder::decode`] looks elements up in.
    type Table: Copy;
    /// What [`Decoder::decode_wide`] does.
    type WideTable: Copy;
    /// What 1 becomes.
    const ONE: f32;
    /// Which elements of a unit come out of [`Decoder::decode`], one after the other.
    const ORDER: [usize; UNIT];

    /// # Safety
    /// The processor has AVX2.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn table() -> Self::Table;

    /// # Safety
    /// The processor has AVX2.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn decode(table: Self::Table, stored: &Self::Stored) -> [__m256i; 4];

    /// # Safety
    /// The processor has AVX-512F and AVX-512BW.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn wide_table() -> Self::WideTable;

    /// As [`Decoder::decode`], and in the same order.
    ///
    /// # Safety
    /// The processor has AVX-512F and AVX-512BW.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn decode_wide(table: Self::WideTable, stored: &Self::Stored) -> [__m512i; 2];
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
        let next = Ahead::new(next);
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the processor has been asked for what the first needs, and inputs that are rounded exist only where it has what
        // the second needs.
        unsafe {
            if has_wide_products() {
                products::<D, _>(Vnni(D::wide_table()), self, (rows, scales), sums, next);
            } else {
                products::<D, _>(Avx2(D::table()), self, (rows, scales), sums, next);
            }
        }
    }
}

/// Whether the processor has the instructions of [`Vnni`].
fn has_wide_products() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
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
