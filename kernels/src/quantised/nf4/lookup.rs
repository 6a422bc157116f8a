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

/// For each 16 bytes of pairs of numbers, the places of the even pairs of bytes, and then those of the odd ones.
const EVEN_THEN_ODD: [u8; 32] = {
    let order = [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15];
    twice(&order)
};

/// The first, second, third and fourth byte of each of the values, for both halves of a vector.
const BYTES: [[u8; 32]; 4] = [plane(0), plane(1), plane(2), plane(3)];

/// 64 numbers choose among 16 values: these are looked up byte by byte, 32 of them at a time, and put together.
#[derive(Clone, Copy)]
pub(super) struct SixtyFour {
    bytes: [__m256i; 4],
    order: __m256i,
}

impl SixtyFour {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new() -> Self {
        let [a, b, c, d] = &BYTES;
        Self { bytes: [load(a), load(b), load(c), load(d)], order: load(&EVEN_THEN_ODD) }
    }

    /// The values of the numbers in 32 bytes, in their order.
    ///
    /// Bytes are interleaved within each half of a vector, which would leave numbers that are 32 apart side by side. So every
    /// other four numbers are brought to the upper half beforehand.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn in_order(self, bytes: &[u8; 32]) -> [[__m256; 4]; 2] {
        let bytes = _mm256_shuffle_epi8(load(bytes), self.order);
        let [first, second] = numbers(_mm256_permute4x64_epi64::<0b11_01_10_00>(bytes));
        [self.values(_mm256_unpacklo_epi8(first, second)), self.values(_mm256_unpackhi_epi8(first, second))]
    }

    /// The values of the numbers in 32 bytes, in the order that takes the least work: that of [`arranged`].
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn arranged(self, bytes: &[u8; 32]) -> [[__m256; 4]; 2] {
        let [first, second] = numbers(load(bytes));
        [self.values(first), self.values(second)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn values(self, numbers: __m256i) -> [__m256; 4] {
        // Without closures, which would not be compiled for the processor where an array calls them.
        let [a, b, c, d] = self.bytes;
        let (a, b) = (_mm256_shuffle_epi8(a, numbers), _mm256_shuffle_epi8(b, numbers));
        let (c, d) = (_mm256_shuffle_epi8(c, numbers), _mm256_shuffle_epi8(d, numbers));
        let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
        let (ab_above, cd_above) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
        [
            _mm256_castsi256_ps(_mm256_unpacklo_epi16(ab, cd)),
            _mm256_castsi256_ps(_mm256_unpackhi_epi16(ab, cd)),
            _mm256_castsi256_ps(_mm256_unpacklo_epi16(ab_above, cd_above)),
            _mm256_castsi256_ps(_mm256_unpackhi_epi16(ab_above, cd_above)),
        ]
    }
}

/// Elements as [`SixtyFour::arranged`] gives them, each 64 by themselves.
pub(super) fn arranged<T: Copy>(elements: &[T]) -> Vec<T> {
    /// First those of the high halves of bytes, then those of the low ones; eight of each at a time, of which four are from the
    /// other half of a vector.
    const ORDER: [usize; 64] = {
        let (mut order, mut place) = ([0; 64], 0);
        while place < 64 {
            let (low, eight, half, lane) = (place / 32, place / 8 % 4, place / 4 % 2, place % 4);
            #[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
            {
                order[place] = 2 * (16 * half + 4 * eight + lane) + low;
            }
            place += 1;
        }
        order
    };
    let units = elements.as_chunks::<64>().0.iter();
    units.flat_map(|unit| ORDER.into_iter().filter_map(|place| unit.get(place).copied())).collect()
}

/// The numbers in the high halves of bytes, and those in the low ones.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn numbers(bytes: __m256i) -> [__m256i; 2] {
    let low_bits = _mm256_set1_epi8(15);
    [_mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low_bits), _mm256_and_si256(bytes, low_bits)]
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(bytes: &[u8; 32]) -> __m256i {
    #[expect(unsafe_code, reason = "a vector is loaded by a pointer")]
    // SAFETY: 32 bytes have the size of a vector.
    unsafe {
        _mm256_loadu_si256(bytes.as_ptr().cast())
    }
}

#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn plane(byte: usize) -> [u8; 32] {
    let (mut plane, mut number) = ([0; 16], 0);
    while number < 16 {
        plane[number] = NF4[number].to_le_bytes()[byte];
        number += 1;
    }
    twice(&plane)
}

#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
pub(super) const fn twice(half: &[u8; 16]) -> [u8; 32] {
    let (mut whole, mut byte) = ([0; 32], 0);
    while byte < 32 {
        whole[byte] = half[byte % 16];
        byte += 1;
    }
    whole
}

#[inline]
#[target_feature(enable = "avx2")]
fn lanes([a, b, c, d, e, f, g, h]: [i32; 8]) -> __m256i {
    _mm256_setr_epi32(a, b, c, d, e, f, g, h)
}
