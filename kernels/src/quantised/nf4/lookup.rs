//! Many of the 16 values at once, from their numbers.

use std::arch::x86_64::*;

use super::codes::NF4;

/// For each of 8 numbers in 32 bits, how far it is from the low end: the first of two is in the high half of its byte.
const SHIFTS: [i32; 8] = [4, 0, 12, 8, 20, 16, 28, 24];

/// 16 numbers choose among 16 values in one vector.
#[derive(Clone, Copy)]
pub(super) struct Sixteen {
    values: __m512,
    shifts: __m512i,
    halves: __m512i,
}

impl Sixteen {
    /// The values themselves.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new() -> Self {
        #[expect(unsafe_code, reason = "a vector is loaded by a pointer")]
        // SAFETY: 16 values have the size of a vector.
        let values = unsafe { _mm512_loadu_ps(NF4.as_ptr()) };
        let shifts = _mm512_broadcast_i64x4(lanes(SHIFTS));
        // The first 8 lanes take the first 32 bits, the others the next.
        let halves = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
        Self { values, shifts, halves }
    }

    /// The values times a factor.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn times(self, factor: f32) -> Self {
        Self { values: _mm512_mul_ps(self.values, _mm512_set1_ps(factor)), ..self }
    }

    /// The values of the numbers in 8 bytes.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn of(self, bytes: [u8; 8]) -> __m512 {
        let bits = _mm512_castsi128_si512(_mm_cvtsi64_si128(i64::from_le_bytes(bytes)));
        // Only the low 4 bits of a lane are looked at.
        let numbers = _mm512_srlv_epi32(_mm512_permutexvar_epi32(self.halves, bits), self.shifts);
        _mm512_permutexvar_ps(numbers, self.values)
    }
}

/// The low 3 bits of 8 numbers choose among 8 values twice, the highest bits among the two.
#[derive(Clone, Copy)]
pub(super) struct Eight {
    low: __m256,
    high: __m256,
    right: __m256i,
    left: __m256i,
}

impl Eight {
    /// As [`Sixteen::new`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new() -> Self {
        let (low, high) = NF4.split_at(8);
        #[expect(unsafe_code, reason = "vectors are loaded by pointers")]
        // SAFETY: 8 values have the size of a vector.
        let (low, high) = unsafe { (_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())) };
        Self { low, high, right: lanes(SHIFTS), left: lanes(SHIFTS.map(|shift| 28 - shift)) }
    }

    /// As [`Sixteen::times`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn times(self, factor: f32) -> Self {
        let factor = _mm256_set1_ps(factor);
        Self { low: _mm256_mul_ps(self.low, factor), high: _mm256_mul_ps(self.high, factor), ..self }
    }

    /// The values of the numbers in 4 bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn of(self, bytes: [u8; 4]) -> __m256 {
        let bits = _mm256_set1_epi32(i32::from_le_bytes(bytes));
        // Only the low 3 bits of a lane are looked at, and then the highest.
        let numbers = _mm256_srlv_epi32(bits, self.right);
        let highest = _mm256_castsi256_ps(_mm256_sllv_epi32(bits, self.left));
        let low = _mm256_permutevar8x32_ps(self.low, numbers);
        _mm256_blendv_ps(low, _mm256_permutevar8x32_ps(self.high, numbers), highest)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn lanes([a, b, c, d, e, f, g, h]: [i32; 8]) -> __m256i {
    _mm256_setr_epi32(a, b, c, d, e, f, g, h)
}
