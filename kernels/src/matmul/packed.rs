//! Element types that the AVX-512 kernels multiply, and the proof that the processor can.

use std::marker::PhantomData;
use std::ops::Range;

use half::bf16;

use super::lines::Line;
use super::unpack::Sums;
use super::{pack, tile, unpack};
use crate::Element;
use crate::matrix::Matrix;

/// A type whose elements are packed into units of 32 bits along the inner dimension.
pub(crate) trait Packed: Element<Compute = f32> {
    /// Elements in a unit.
    const PER_UNIT: usize;

    /// Whether the processor has the instructions of [`Packed::panel`].
    fn supported() -> bool;
    /// See [`tile::Panel`].
    fn panel(_: Proof<Self>, panel: tile::Panel<'_, Self>, block: &mut [Line<f32>]);
    /// See [`unpack::unpack`].
    fn unpack<O: Element<Compute = f32>>(_: Proof<Self>, sums: Sums<'_, '_, O>);
}

/// Proof that the processor has the instructions for `T`.
#[derive(Clone, Copy)]
pub(crate) struct Proof<T>(PhantomData<T>);

impl<T: Packed> Proof<T> {
    pub(crate) fn find() -> Option<Self> {
        T::supported().then_some(Self(PhantomData))
    }

    /// See [`pack::pack`].
    pub(super) fn pack(
        self,
        matrix: Matrix<'_, T>,
        rows: Range<usize>,
        columns: Range<usize>,
        vectors: usize,
        into: &mut [Line<u32>],
    ) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: a proof is only made where `T::supported` has found AVX-512F and AVX-512BW.
        unsafe {
            pack::pack(matrix, rows, columns, vectors, into);
        }
    }
}

impl Packed for bf16 {
    const PER_UNIT: usize = 2;

    fn supported() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }
    fn panel(_: Proof<Self>, panel: tile::Panel<'_, Self>, block: &mut [Line<f32>]) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the proof says that the processor has AVX-512F and AVX-512-BF16.
        unsafe {
            tile::panel(panel, block);
        }
    }
    fn unpack<O: Element<Compute = f32>>(_: Proof<Self>, sums: Sums<'_, '_, O>) {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: the proof says that the processor has AVX-512F, AVX-512BW and AVX512-BF16.
        unsafe {
            unpack::unpack_rounded(sums);
        }
    }
}
