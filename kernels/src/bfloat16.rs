//! `bf16` by the processor's own instructions.

use std::arch::x86_64::*;

use half::bf16;

use crate::matmul;

/// Elements that are rounded together.
const TOGETHER: usize = 32;

/// Whether the processor has AVX-512F, AVX-512BW and AVX512-BF16.
pub(crate) fn is_native() -> bool {
    matmul::is_native::<bf16>()
}

/// Rounds numbers, where that [is so](is_native). Subnormal ones become zero.
pub(crate) fn store(numbers: &[f32], into: &mut [bf16]) {
    if is_native() {
        #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
        // SAFETY: the processor has the extensions that the function is compiled for.
        unsafe {
            store_natively(numbers, into);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn store_natively(numbers: &[f32], into: &mut [bf16]) {
    let ((numbers, end), (into, into_end)) =
        (numbers.as_chunks::<TOGETHER>(), into.as_chunks_mut::<TOGETHER>());
    for (numbers, into) in numbers.iter().zip(into) {
        #[expect(unsafe_code, reason = "vectors are loaded and stored by pointers")]
        // SAFETY: the numbers have the size of two vectors, and the elements that of one, of which every pattern is a value.
        unsafe {
            let [low, high] = [_mm512_loadu_ps(numbers.as_ptr()), _mm512_loadu_ps(numbers.as_ptr().add(16))];
            let rounded: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(into.as_mut_ptr().cast(), rounded);
        }
    }
    end.iter().zip(into_end).for_each(|(&number, into)| *into = bf16::from_f32(number));
}

/// 16 pairs as the instruction that multiplies them takes them.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(crate) fn as_pairs(pairs: __m512i) -> __m512bh {
    #[expect(unsafe_code, reason = "there is no cast between these types of vectors")]
    // SAFETY: both are 512 bits of which every pattern is a value.
    unsafe {
        std::mem::transmute(pairs)
    }
}
