//! From numbers of the 16 values to elements: by lookups in registers where the processor has them.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::Matrix;
use super::codes::NF4;

/// For each of 8 numbers in 32 bits, how far it is from the low end: the first of two is in the high half of its byte.
#[cfg(target_arch = "x86_64")]
const SHIFTS: [i32; 8] = [4, 0, 12, 8, 20, 16, 28, 24];

impl Matrix {
    /// Writes the elements from one on, row after row.
    pub(in crate::quantised) fn decode(&self, first: usize, into: &mut [f32]) {
        // An odd element is in the low half of a byte of which the rest is not wanted.
        let (head, into) = into.split_at_mut((first % 2).min(into.len()));
        for element in &mut *head {
            let byte = self.packed.get(first / 2).copied().unwrap_or_default();
            *element = value(byte & 15) * self.scales.magnitudes().of(first / self.block);
        }
        let first = first + head.len();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
                // SAFETY: the processor has the extension that the function is compiled for.
                return unsafe { self.by_avx512(first, into) };
            }
            if is_x86_feature_detected!("avx2") {
                #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
                // SAFETY: as above.
                return unsafe { self.by_avx2(first, into) };
            }
        }
        self.pieces(first, into).for_each(|(bytes, magnitude, into)| one_by_one(bytes, magnitude, into));
    }

    /// Parts of blocks: their bytes, their magnitude, and where their elements go. The first element's number must be even.
    #[inline(always)]
    fn pieces<'a>(
        &'a self,
        first: usize,
        into: &'a mut [f32],
    ) -> impl Iterator<Item = (&'a [u8], f32, &'a mut [f32])> {
        let magnitudes = self.scales.magnitudes();
        let (mut start, mut rest) = (first, into);
        std::iter::from_fn(move || {
            let count = (self.block - start % self.block).min(rest.len());
            let (part, after) =
                std::mem::take(&mut rest).split_at_mut_checked(count).filter(|_| count > 0)?;
            let bytes = self.packed.get(start / 2..).unwrap_or_default();
            let magnitude = magnitudes.of(start / self.block);
            (start, rest) = (start + count, after);
            Some((bytes, magnitude, part))
        })
    }

    /// 16 numbers at a time, which choose among the 16 values.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn by_avx512(&self, first: usize, into: &mut [f32]) {
        let eight = lanes(SHIFTS);
        let shifts = _mm512_broadcast_i64x4(eight);
        // The first 8 lanes take the first 32 bits, the others the next.
        let halves = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        #[expect(unsafe_code, reason = "a vector is loaded by a pointer")]
        // SAFETY: 16 values have the size of a vector.
        let values = unsafe { _mm512_loadu_ps(NF4.as_ptr()) };
        for (bytes, magnitude, into) in self.pieces(first, into) {
            let values = _mm512_mul_ps(values, _mm512_set1_ps(magnitude));
            let (whole, rest) = into.as_chunks_mut::<16>();
            for (into, bytes) in whole.iter_mut().zip(bytes.as_chunks::<8>().0) {
                let bits = _mm512_castsi128_si512(_mm_cvtsi64_si128(i64::from_le_bytes(*bytes)));
                // Only the low 4 bits of a lane are looked at.
                let numbers = _mm512_srlv_epi32(_mm512_permutexvar_epi32(halves, bits), shifts);
                #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
                // SAFETY: 16 elements have the size of a vector.
                unsafe {
                    _mm512_storeu_ps(into.as_mut_ptr(), _mm512_permutexvar_ps(numbers, values));
                }
            }
            one_by_one(bytes.get(whole.len() * 8..).unwrap_or_default(), magnitude, rest);
        }
    }

    /// 8 numbers at a time: their low 3 bits choose among 8 values twice, their highest among the two.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn by_avx2(&self, first: usize, into: &mut [f32]) {
        let right = lanes(SHIFTS);
        let left = lanes(SHIFTS.map(|shift| 28 - shift));
        #[expect(unsafe_code, reason = "vectors are loaded by pointers")]
        // SAFETY: there are 16 values, 8 in a vector.
        let (low, high) =
            unsafe { (_mm256_loadu_ps(NF4.as_ptr()), _mm256_loadu_ps(NF4.as_ptr().wrapping_add(8))) };
        for (bytes, magnitude, into) in self.pieces(first, into) {
            let magnitudes = _mm256_set1_ps(magnitude);
            let (low, high) = (_mm256_mul_ps(low, magnitudes), _mm256_mul_ps(high, magnitudes));
            let (whole, rest) = into.as_chunks_mut::<8>();
            for (into, bytes) in whole.iter_mut().zip(bytes.as_chunks::<4>().0) {
                let bits = _mm256_set1_epi32(i32::from_le_bytes(*bytes));
                let numbers = _mm256_srlv_epi32(bits, right);
                let highest = _mm256_castsi256_ps(_mm256_sllv_epi32(bits, left));
                let (a, b) =
                    (_mm256_permutevar8x32_ps(low, numbers), _mm256_permutevar8x32_ps(high, numbers));
                #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
                // SAFETY: 8 elements have the size of a vector.
                unsafe {
                    _mm256_storeu_ps(into.as_mut_ptr(), _mm256_blendv_ps(a, b, highest));
                }
            }
            one_by_one(bytes.get(whole.len() * 4..).unwrap_or_default(), magnitude, rest);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn lanes([a, b, c, d, e, f, g, h]: [i32; 8]) -> __m256i {
    _mm256_setr_epi32(a, b, c, d, e, f, g, h)
}

#[inline(always)]
fn one_by_one(bytes: &[u8], magnitude: f32, into: &mut [f32]) {
    for (into, &byte) in into.chunks_mut(2).zip(bytes) {
        let pair = [value(byte >> 4), value(byte & 15)];
        into.iter_mut().zip(pair).for_each(|(into, value)| *into = value * magnitude);
    }
}

#[inline(always)]
fn value(number: u8) -> f32 {
    NF4.get(usize::from(number)).copied().unwrap_or_default()
}
