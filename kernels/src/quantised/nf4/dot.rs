//! The product of a row with a vector, without the row's elements ever being in memory.

use std::arch::x86_64::*;

use super::Matrix;
use super::decode::one_by_one;
use super::lookup::{Eight, Sixteen};

impl Matrix {
    /// The product of a row with `x`, if the processor has the instructions and rows begin with whole bytes.
    pub(in crate::quantised) fn dot(&self, row: usize, x: &[f32]) -> Option<f32> {
        if !self.columns.is_multiple_of(2) || x.len() != self.columns {
            return None;
        }
        let first = row * self.columns;
        if is_x86_feature_detected!("avx512f") {
            #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
            // SAFETY: the processor has the extension that the function is compiled for.
            return Some(unsafe { self.dot_by_avx512(first, x) });
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            #[expect(unsafe_code, reason = "the compiler can't see that the processor has been asked")]
            // SAFETY: the processor has both extensions that the function is compiled for.
            return Some(unsafe { self.dot_by_avx2(first, x) });
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
            rest += dot_of_rest(bytes, magnitude, x, whole.len() * 32);
        }
        rest + _mm512_reduce_add_ps(_mm512_add_ps(a, b))
    }

    #[target_feature(enable = "avx2,fma")]
    fn dot_by_avx2(&self, first: usize, x: &[f32]) -> f32 {
        let (lookup, mut a, mut b, mut rest) = (Eight::new(), _mm256_setzero_ps(), _mm256_setzero_ps(), 0.0);
        for (bytes, magnitude, range) in self.pieces(first, x.len()) {
            let lookup = lookup.times(magnitude);
            let x = x.get(range).unwrap_or_default();
            let whole = x.as_chunks::<8>().0.as_chunks::<2>().0;
            for ([x, y], [low, high]) in whole.iter().zip(bytes.as_chunks::<4>().0.as_chunks::<2>().0) {
                #[expect(unsafe_code, reason = "vectors are loaded by pointers")]
                // SAFETY: 8 elements have the size of a vector.
                let (x, y) = unsafe { (_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(y.as_ptr())) };
                a = _mm256_fmadd_ps(lookup.of(*low), x, a);
                b = _mm256_fmadd_ps(lookup.of(*high), y, b);
            }
            rest += dot_of_rest(bytes, magnitude, x, whole.len() * 16);
        }
        let mut lanes = [0.0; 8];
        #[expect(unsafe_code, reason = "a vector is stored by a pointer")]
        // SAFETY: 8 elements have the size of a vector.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(a, b));
        }
        rest + lanes.iter().sum::<f32>()
    }
}

/// The product of the elements from one on with an even number, fewer than two vectors have.
#[inline(always)]
fn dot_of_rest(bytes: &[u8], magnitude: f32, x: &[f32], from: usize) -> f32 {
    let x = x.get(from..).unwrap_or_default();
    if x.is_empty() {
        return 0.0;
    }
    let mut elements = [0.0; 32];
    let elements = elements.get_mut(..x.len()).unwrap_or_default();
    one_by_one(bytes.get(from / 2..).unwrap_or_default(), magnitude, elements);
    elements.iter().zip(x).map(|(element, x)| element * x).sum()
}
