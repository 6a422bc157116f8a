//! The inner loops: a part of a row with the same part of up to [`INPUTS`](super::INPUTS) inputs.

use std::arch::x86_64::*;

use super::{Decoder, Unit};
use crate::line::Line;

/// Instructions that tiles are computed with.
pub(super) trait Instructions<D: Decoder>: Copy {
    /// Adds the products of a part of a row with the same part of `N` inputs to their partial sums.
    ///
    /// # Safety
    /// The processor has the instructions.
    #[expect(unsafe_code, reason = "instructions that not every processor has")]
    unsafe fn tile<const N: usize>(
        self,
        row: &[D::Stored],
        scales: &[f32],
        units: &[Unit],
        unit_scales: &[f32],
        sums: &mut [Line<f32>],
    );
}

/// AVX2 and FMA, with what elements are looked up in.
#[derive(Clone, Copy)]
pub(super) struct Avx2<T>(pub(super) T);

/// AVX-512F, AVX-512BW and AVX512-VNNI.
#[derive(Clone, Copy)]
pub(super) struct Vnni<T>(pub(super) T);

#[expect(unsafe_code, reason = "as declared")]
impl<D: Decoder> Instructions<D> for Avx2<D::Table> {
    #[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
    #[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile<const N: usize>(
        self,
        row: &[D::Stored],
        scales: &[f32],
        units: &[Unit],
        unit_scales: &[f32],
        sums: &mut [Line<f32>],
    ) {
        check::<N>(row.len(), scales, units, unit_scales, sums);
        let (mut units, mut unit_scales) = (units.as_ptr(), unit_scales.as_ptr());
        let mut totals = [_mm256_setzero_ps(); N];
        // SAFETY: it has been checked that the row has scales, and each of the `N` inputs units, which are aligned, and scales;
        // a line is at least as long as a vector.
        unsafe {
            for input in 0..N {
                totals[input] = _mm256_load_ps(sums[input].0.as_ptr());
            }
            for (stored, &scale) in row.iter().zip(scales) {
                let whole = D::decode(self.0, stored);
                for input in 0..N {
                    let x: *const __m256i = units.add(input).cast();
                    let a = _mm256_madd_epi16(whole[0], _mm256_load_si256(x));
                    let b = _mm256_madd_epi16(whole[1], _mm256_load_si256(x.add(1)));
                    let c = _mm256_madd_epi16(whole[2], _mm256_load_si256(x.add(2)));
                    let d = _mm256_madd_epi16(whole[3], _mm256_load_si256(x.add(3)));
                    let total = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
                    let scale = _mm256_set1_ps(scale * *unit_scales.add(input));
                    totals[input] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, totals[input]);
                }
                (units, unit_scales) = (units.add(N), unit_scales.add(N));
            }
            for input in 0..N {
                _mm256_store_ps(sums[input].0.as_mut_ptr(), totals[input]);
            }
        }
    }
}

#[expect(unsafe_code, reason = "as declared")]
impl<D: Decoder> Instructions<D> for Vnni<D::WideTable> {
    #[expect(clippy::indexing_slicing, reason = "arrays with constant bounds")]
    #[expect(clippy::needless_range_loop, reason = "loops with constant bounds are kept in registers")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn tile<const N: usize>(
        self,
        row: &[D::Stored],
        scales: &[f32],
        units: &[Unit],
        unit_scales: &[f32],
        sums: &mut [Line<f32>],
    ) {
        check::<N>(row.len(), scales, units, unit_scales, sums);
        let (mut units, mut unit_scales) = (units.as_ptr(), unit_scales.as_ptr());
        let mut totals = [_mm512_setzero_ps(); N];
        // SAFETY: as above; a line is as long as a vector.
        unsafe {
            for input in 0..N {
                totals[input] = _mm512_load_ps(sums[input].0.as_ptr());
            }
            for (stored, &scale) in row.iter().zip(scales) {
                let whole = D::decode_wide(self.0, stored);
                for input in 0..N {
                    let x: *const __m512i = units.add(input).cast();
                    let total = _mm512_madd_epi16(whole[0], _mm512_load_si512(x));
                    let total = _mm512_dpwssd_epi32(total, whole[1], _mm512_load_si512(x.add(1)));
                    let scale = _mm512_set1_ps(scale * *unit_scales.add(input));
                    totals[input] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total), scale, totals[input]);
                }
                (units, unit_scales) = (units.add(N), unit_scales.add(N));
            }
            for input in 0..N {
                _mm512_store_ps(sums[input].0.as_mut_ptr(), totals[input]);
            }
        }
    }
}

/// Checks the bounds of a tile once for all units.
fn check<const N: usize>(
    depth: usize,
    scales: &[f32],
    units: &[Unit],
    unit_scales: &[f32],
    sums: &[Line<f32>],
) {
    assert!(scales.len() == depth && units.len() == depth * N && unit_scales.len() == depth * N);
    assert!(sums.len() == N);
}
