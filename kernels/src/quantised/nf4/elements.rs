//! Elements of `bf16`, by AVX512-BF16: the 16 values are multiplied and rounded once for each block, and then looked up 32 at a time.

use std::arch::x86_64::*;

use half::bf16;

use super::Matrix;
use super::codes::NF4;
use super::decode::UNIT;
use super::lookup::load;
use crate::bfloat16;

/// For each four bytes in the order in which halves of a vector are interleaved, which four they are.
const ORDER: [i32; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

impl Matrix {
    /// Writes the elements from one on, if the processor has the instructions and they consist of whole units; says whether it did.
    /// Subnormal numbers become zero.
    pub(in crate::quantised) fn elements(&self, first: usize, into: &mut [bf16]) -> bool {
        let has_units = self.before_units(first, into.len()) == 0 && into.len().is_multiple_of(UNIT);
        let takes = bfloat16::is_native() && has_units;
        if takes {
            #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
            // SAFETY: the processor has the extensions that the function is compiled for.
            unsafe {
                self.units_as_elements(first, into);
            }
        }
        takes
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn units_as_elements(&self, first: usize, into: &mut [bf16]) {
        #[expect(unsafe_code, reason = "vectors are loaded by pointers")]
        // SAFETY: 16 values have the size of a vector, and so have 8 places.
        let (values, order) =
            unsafe { (_mm512_loadu_ps(NF4.as_ptr()), _mm256_loadu_si256(ORDER.as_ptr().cast())) };
        for (into, (bytes, magnitude)) in into.as_chunks_mut::<UNIT>().0.iter_mut().zip(self.units(first)) {
            let values = _mm512_cvtneps_pbh(_mm512_mul_ps(values, _mm512_set1_ps(magnitude)));
            #[expect(unsafe_code, reason = "there is no cast between these types of vectors")]
            // SAFETY: both are 256 bits of which every pattern is a value.
            let values: __m256i = unsafe { std::mem::transmute(values) };
            // Twice, so that the fifth bit of a number, which is looked at, makes no difference.
            let values = _mm512_broadcast_i64x4(values);
            let bytes = _mm512_cvtepu8_epi16(_mm256_permutevar8x32_epi32(load(bytes), order));
            let first = _mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(bytes), values);
            let second = _mm512_permutexvar_epi16(bytes, values);
            let into: *mut __m512i = into.as_mut_ptr().cast();
            #[expect(unsafe_code, reason = "vectors are stored by pointers")]
            // SAFETY: 64 elements have the size of two vectors.
            unsafe {
                _mm512_storeu_si512(into, _mm512_unpacklo_epi16(first, second));
                _mm512_storeu_si512(into.add(1), _mm512_unpackhi_epi16(first, second));
            }
        }
    }
}
