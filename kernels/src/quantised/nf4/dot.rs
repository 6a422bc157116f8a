//! The product of a row with a vector, without the row's elements ever being in memory.

use std::arch::x86_64::*;
use std::borrow::Cow;

use super::Matrix;
use super::decode::{UNIT, value};
use super::lookup::{Sixteen, SixtyFour, arranged};

/// Blocks whose magnitudes are computed at a time.
const BLOCKS: usize = 64;

impl Matrix {
    /// Whether rows are multiplied with vectors that are [`arranged`]: by AVX2, if they consist of whole blocks.
    fn is_arranged(&self) -> bool {
        self.block.is_multiple_of(UNIT)
            && self.columns.is_multiple_of(self.block)
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && !is_x86_feature_detected!("avx512f")
    }

    /// A vector as [`Matrix::dot`] takes it.
    pub(in crate::quantised) fn arranged<'x, T: Copy>(&self, x: &'x [T]) -> Cow<'x, [T]> {
        if self.is_arranged() { arranged(x).into() } else { x.into() }
    }

    /// The product of a row with what [`Matrix::arranged`] has made of `x`, if the processor has the instructions and rows begin
    /// with whole bytes, or by AVX2 with whole blocks.
    pub(in crate::quantised) fn dot(&self, row: usize, x: &[f32]) -> Option<f32> {
        if !self.columns.is_multiple_of(2) || x.len() != self.columns {
            return None;
        }
        if is_x86_feature_detected!("avx512f") {
            #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
            // SAFETY: the processor has the extension that the function is compiled for.
            return Some(unsafe { self.dot_by_avx512(row * self.columns, x) });
        }
        if self.is_arranged() {
            #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
            // SAFETY: the processor has both extensions that the function is compiled for.
            return Some(unsafe { self.dot_by_avx2(row, x) });
        }
        None
    }

    #[target_feature(enable = "avx512f")]
    fn dot_by_avx512(&self, first: usize, x: &[f32]) -> f32 {
        let (lookup, mut a, mut b, mut rest) =
            (Sixteen::new(), _mm512_setzero_ps(), _mm512_setzero_ps(), 0.0);
        for (bytes, magnitude, range) in self.pieces(first, x.len()) {
            let lookup = lookup.times(magnitude);
            let x = x.get(range).unwrap_or_default();
            let whole = x.as_chunks::<16>().0.as_chunks::<2>().0;
            for ([x, y], [low, high]) in whole.iter().zip(bytes.as_chunks::<8>().0.as_chunks::<2>().0) {
                #[expect(unsafe_code, reason = "vectors are loaded by pointers")]
                // SAFETY: 16 elements have the size of a vector.
                let (x, y) = unsafe { (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(y.as_ptr())) };
                a = _mm512_fmadd_ps(lookup.of(*low), x, a);
                b = _mm512_fmadd_ps(lookup.of(*high), y, b);
            }
            let from = whole.len() * 32;
            let bytes = bytes.get(from / 2..).unwrap_or_default();
            rest += magnitude * one_by_one(bytes, x.get(from..).unwrap_or_default());
        }
        rest + _mm512_reduce_add_ps(_mm512_add_ps(a, b))
    }

    #[target_feature(enable = "avx2,fma")]
    fn dot_by_avx2(&self, row: usize, x: &[f32]) -> f32 {
        let (lookup, mut sums) = (SixtyFour::new(), _mm256_setzero_ps());
        let mut bytes = self.packed.get(row * self.columns / 2..).unwrap_or_default();
        let mut block = row * self.columns / self.block;
        let mut magnitudes = [0.0; BLOCKS];
        for mut x in x.chunks(BLOCKS * self.block) {
            let magnitudes = magnitudes.get_mut(..x.len() / self.block).unwrap_or_default();
            self.scales.write(block, magnitudes);
            block += magnitudes.len();
            for magnitude in magnitudes {
                let split = (x.split_at_checked(self.block), bytes.split_at_checked(self.block / 2));
                let (Some((units, x_rest)), Some((bytes_of_units, bytes_rest))) = split else { break };
                (x, bytes) = (x_rest, bytes_rest);
                // Sums are multiplied with the magnitude, instead of elements.
                let magnitude = _mm256_set1_ps(*magnitude);
                let bytes_of_units = bytes_of_units.as_chunks().0;
                for (x, bytes) in units.as_chunks::<UNIT>().0.iter().zip(bytes_of_units) {
                    sums = _mm256_fmadd_ps(dot_of_unit(lookup, bytes, x), magnitude, sums);
                }
            }
        }
        let mut lanes = [0.0; 8];
        #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
        // SAFETY: 8 elements have the size of a vector.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), sums);
        }
        lanes.iter().sum()
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot_of_unit(lookup: SixtyFour, bytes: &[u8; UNIT / 2], x: &[f32; UNIT]) -> __m256 {
    let (mut a, mut b) = (_mm256_setzero_ps(), _mm256_setzero_ps());
    let values = lookup.arranged(bytes);
    let pairs = values.as_flattened().as_chunks::<2>().0;
    for ([x, y], [low, high]) in x.as_chunks::<8>().0.as_chunks::<2>().0.iter().zip(pairs) {
        #[expect(unsafe_code, reason = "vectors are loaded by pointers")]
        // SAFETY: 8 elements have the size of a vector.
        let (x, y) = unsafe { (_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(y.as_ptr())) };
        a = _mm256_fmadd_ps(*low, x, a);
        b = _mm256_fmadd_ps(*high, y, b);
    }
    _mm256_add_ps(a, b)
}

#[inline(always)]
fn one_by_one(bytes: &[u8], x: &[f32]) -> f32 {
    let products = x.chunks(2).zip(bytes).map(|(x, &byte)| {
        let pair = [value(byte >> 4), value(byte & 15)];
        x.iter().zip(pair).map(|(x, value)| x * value).sum::<f32>()
    });
    products.sum()
}
