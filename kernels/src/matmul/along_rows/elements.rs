//! What differs between types of elements.

use std::arch::x86_64::*;

use half::bf16;

use super::{Part, run};
use crate::Element;
use crate::bfloat16::as_pairs;
use crate::matmul::packed::Packed;

/// Types of elements that there are such products of.
pub(in crate::matmul) trait Multiplied: Element<Compute = f32> {
    /// Elements of a vector.
    const LANES: usize;
    /// Rows of the left matrix, at most. With more of them packing the right matrix pays.
    const ROWS: usize;

    /// Whether the processor has the instructions of the others.
    fn is_supported() -> bool;

    /// So many elements of a vector, and zeros for the others.
    ///
    /// # Safety
    /// There are as many, and the processor has the instructions.
    #[expect(unsafe_code, reason = "reads memory without asking for its bounds")]
    unsafe fn load_some(from: *const Self, count: usize) -> __m512i;

    /// As [`Multiplied::load_some`], of all elements of a vector.
    ///
    /// # Safety
    /// As there.
    #[expect(unsafe_code, reason = "reads memory without asking for its bounds")]
    unsafe fn load_whole(from: *const Self) -> __m512i;

    /// Adds products.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn add(a: __m512i, b: __m512i, sums: __m512) -> __m512;

    /// [`run`], compiled for the instructions.
    ///
    /// # Safety
    /// The processor has them.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn run<O: Element<Compute = f32>, const HEIGHT: usize, const WIDTH: usize>(
        part: Part<'_, Self>,
        into: &mut [&mut [O]],
        accumulate: bool,
    );
}

#[expect(unsafe_code, reason = "as declared")]
impl Multiplied for f32 {
    const LANES: usize = 16;
    const ROWS: usize = 256;

    fn is_supported() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_some(from: *const Self, count: usize) -> __m512i {
        let mask = u16::MAX >> (Self::LANES - count.clamp(1, Self::LANES));
        // SAFETY: the mask admits elements that there are.
        unsafe { _mm512_maskz_loadu_epi32(mask, from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_whole(from: *const Self) -> __m512i {
        // SAFETY: there are as many elements.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn add(a: __m512i, b: __m512i, sums: __m512) -> __m512 {
        _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sums)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn run<O: Element<Compute = f32>, const HEIGHT: usize, const WIDTH: usize>(
        part: Part<'_, Self>,
        into: &mut [&mut [O]],
        accumulate: bool,
    ) {
        // SAFETY: the processor has the instructions.
        unsafe { run::<Self, O, HEIGHT, WIDTH>(part, into, accumulate) }
    }
}

#[expect(unsafe_code, reason = "as declared")]
impl Multiplied for bf16 {
    const LANES: usize = 32;
    const ROWS: usize = 48;

    fn is_supported() -> bool {
        <Self as Packed>::supported()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn load_some(from: *const Self, count: usize) -> __m512i {
        let mask = u32::MAX >> (Self::LANES - count.clamp(1, Self::LANES));
        // SAFETY: the mask admits elements that there are.
        unsafe { _mm512_maskz_loadu_epi16(mask, from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn load_whole(from: *const Self) -> __m512i {
        // SAFETY: there are as many elements.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn add(a: __m512i, b: __m512i, sums: __m512) -> __m512 {
        _mm512_dpbf16_ps(sums, as_pairs(a), as_pairs(b))
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn run<O: Element<Compute = f32>, const HEIGHT: usize, const WIDTH: usize>(
        part: Part<'_, Self>,
        into: &mut [&mut [O]],
        accumulate: bool,
    ) {
        // SAFETY: the processor has the instructions.
        unsafe { run::<Self, O, HEIGHT, WIDTH>(part, into, accumulate) }
    }
}
