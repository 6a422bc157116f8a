//! The 16 values as whole numbers, for products with inputs that are rounded.

use std::arch::x86_64::*;
use std::ops::Range;

use super::Matrix;
use super::codes::NF4;
use super::lookup::{load, numbers, twice};
use crate::Element;
use crate::quantised::rounded::{Decoder, GREATEST, Rounded, UNIT};

/// With this number for 1 none of the values changes by more than 0.00015 of itself: it is the one for which that is
/// least.
const ONE: f32 = 7854.0;
const _: () = assert!(ONE as usize <= GREATEST);

/// The low and the high byte of each of the values.
const BYTES: [[u8; 32]; 2] = [plane(0), plane(1)];

/// The values, twice, so that a fifth bit of a number makes no difference.
const TWICE: [i16; 32] = {
    let (mut values, mut place) = ([0; 32], 0);
    while place < 32 {
        #[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
        {
            values[place] = whole(place % 16);
        }
        place += 1;
    }
    values
};

/// Looks up the values of numbers.
enum Lookup {}

#[expect(unsafe_code, reason = "as declared")]
impl Decoder for Lookup {
    type Stored = [u8; UNIT / 2];
    type Table = [__m256i; 2];
    type WideTable = __m512i;

    const ONE: f32 = ONE;

    /// First those in the high halves of bytes, then those in the low ones; of each, what is interleaved from the lower parts of
    /// both halves of a vector, and then from the upper parts.
    const ORDER: [usize; UNIT] = {
        let (mut order, mut place) = ([0; UNIT], 0);
        while place < UNIT {
            let (low, above, half, lane) = (place / 32, place / 16 % 2, place / 8 % 2, place % 8);
            #[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
            {
                order[place] = 2 * (16 * half + 8 * above + lane) + low;
            }
            place += 1;
        }
        order
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn table() -> [__m256i; 2] {
        let [low, high] = &BYTES;
        [load(low), load(high)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn decode([low, high]: [__m256i; 2], stored: &Self::Stored) -> [__m256i; 4] {
        let [first, second] = numbers(load(stored));
        let (first_low, first_high) = (_mm256_shuffle_epi8(low, first), _mm256_shuffle_epi8(high, first));
        let (second_low, second_high) = (_mm256_shuffle_epi8(low, second), _mm256_shuffle_epi8(high, second));
        [
            _mm256_unpacklo_epi8(first_low, first_high),
            _mm256_unpackhi_epi8(first_low, first_high),
            _mm256_unpacklo_epi8(second_low, second_high),
            _mm256_unpackhi_epi8(second_low, second_high),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn wide_table() -> __m512i {
        // SAFETY: 32 values have the size of a vector.
        unsafe { _mm512_loadu_si512(TWICE.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn decode_wide(values: __m512i, stored: &Self::Stored) -> [__m512i; 2] {
        // The middle quarters change places, as they do where halves of a vector are interleaved.
        let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(load(stored));
        // A number is in the low 5 bits of a lane, which are all that is looked at.
        let bytes = _mm512_cvtepu8_epi16(bytes);
        let first = _mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(bytes), values);
        [first, _mm512_permutexvar_epi16(bytes, values)]
    }
}

impl Matrix {
    /// Whether its rows are multiplied with inputs that are rounded: if they consist of whole blocks, and these of whole units.
    pub(in crate::quantised) fn has_whole_units(&self) -> bool {
        self.block.is_multiple_of(UNIT) && self.columns.is_multiple_of(self.block)
    }

    /// Inputs as [`Matrix::products`] takes them.
    pub(in crate::quantised) fn rounded<T: Element>(&self, x: &[T]) -> Option<Rounded> {
        self.has_whole_units().then(|| Rounded::new::<Lookup, T>(x, self.columns)).flatten()
    }

    /// The products of some rows with inputs that were [rounded](Matrix::rounded), with memory for the scale of each unit.
    pub(in crate::quantised) fn products(
        &self,
        rows: Range<usize>,
        inputs: &Rounded,
        scales: &mut [f32],
        sums: &mut [f32],
    ) {
        self.magnitudes_of_units(inputs.units_of(rows.clone()).start, scales);
        inputs.products::<Lookup>(self.packed.as_chunks().0, rows, scales, sums);
    }
}

/// A value as a whole number.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn whole(number: usize) -> i16 {
    let value = NF4[number] * ONE;
    // To the nearest, as a conversion cuts off.
    (if value < 0.0 { value - 0.5 } else { value + 0.5 }) as i16
}

#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn plane(byte: usize) -> [u8; 32] {
    let (mut plane, mut number) = ([0; 16], 0);
    while number < 16 {
        plane[number] = whole(number).to_le_bytes()[byte];
        number += 1;
    }
    twice(&plane)
}
