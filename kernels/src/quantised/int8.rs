//! Weights in 8 bits: each row has a scale, as the weights of LLM.int8() (Dettmers et al. 2022, section 2.1).

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
#[cfg(target_arch = "x86_64")]
use std::ops::Range;

use rayon::prelude::*;

use super::Encoded;
#[cfg(target_arch = "x86_64")]
use super::rounded::{Decoder, Rounded, UNIT};
use crate::vectorised::vectorised;
use crate::{Element, Float, KernelError, check};

/// A matrix of whole numbers from -127 to 127 with a factor for each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    codes: Vec<i8>,
    /// The greatest magnitude of each row, divided by 127.
    scales: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Matrix {
    /// Quantises `x` `[rows, columns]`.
    ///
    /// # Errors
    /// [`KernelError::Length`] if `x` doesn't fit.
    pub fn quantise<T: Element>(x: &[T], rows: usize, columns: usize) -> Result<Self, KernelError> {
        check::length("int8", "x", x, &[rows, columns])?;
        Ok(Self::quantise_with(rows, columns, |first, into| {
            let x = x.get(first..).unwrap_or_default();
            into.iter_mut().zip(x).for_each(|(into, x)| *into = x.load().widen() as f32);
        }))
    }

    /// Quantises a matrix of which `fill` writes the elements from one on, counted row after row. One row for each
    /// thread exists at a time.
    pub fn quantise_with(rows: usize, columns: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let mut codes = vec![0; rows * columns];
        let mut scales = vec![0.0; rows];
        let tasks = codes.par_chunks_mut(columns.max(1)).zip(&mut scales).enumerate();
        tasks.for_each_init(
            || vec![0.0; columns],
            |buffer, (row, (codes, scale))| {
                fill(row * columns, buffer);
                *scale = encode(buffer, codes);
            },
        );
        Self { codes, scales, rows, columns }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.codes.len() + size_of_val(self.scales.as_slice())
    }

    pub(super) fn encoded(&self) -> Encoded<'_> {
        let codes: Vec<u8> = self.codes.iter().map(|code| code.cast_unsigned()).collect();
        Encoded { bits: 8, codes: codes.into(), scales: self.scales.clone(), block: self.columns.max(1) }
    }

    /// The product of a row with `x`.
    pub(super) fn dot(&self, row: usize, x: &[f32]) -> f32 {
        let codes = self.codes.get(row * self.columns..(row + 1) * self.columns).unwrap_or_default();
        dot(codes, x) * self.scales.get(row).copied().unwrap_or_default()
    }

    /// Writes the elements from one on, row after row.
    pub(super) fn decode(&self, first: usize, into: &mut [f32]) {
        let (mut start, mut rest) = (first, into);
        while !rest.is_empty() {
            let count = (self.columns - start % self.columns).min(rest.len());
            let (part, after) = rest.split_at_mut(count);
            let scale = self.scales.get(start / self.columns).copied().unwrap_or_default();
            decode(self.codes.get(start..).unwrap_or_default(), scale, part);
            (start, rest) = (start + count, after);
        }
    }
}

/// Whole numbers of 16 bits from those of 8.
#[cfg(target_arch = "x86_64")]
enum Widen {}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "as declared")]
impl Decoder for Widen {
    type Stored = [i8; UNIT];
    type Table = ();
    type WideTable = ();

    const ONE: f32 = 1.0;

    const ORDER: [usize; UNIT] = {
        let (mut order, mut place) = ([0; UNIT], 0);
        while place < UNIT {
            #[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
            {
                order[place] = place;
            }
            place += 1;
        }
        order
    };

    unsafe fn table() {}

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn decode((): (), stored: &Self::Stored) -> [__m256i; 4] {
        let from: *const __m128i = stored.as_ptr().cast();
        // SAFETY: 64 codes have the size of four vectors.
        unsafe {
            [
                _mm256_cvtepi8_epi16(_mm_loadu_si128(from)),
                _mm256_cvtepi8_epi16(_mm_loadu_si128(from.add(1))),
                _mm256_cvtepi8_epi16(_mm_loadu_si128(from.add(2))),
                _mm256_cvtepi8_epi16(_mm_loadu_si128(from.add(3))),
            ]
        }
    }

    unsafe fn wide_table() {}

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn decode_wide((): (), stored: &Self::Stored) -> [__m512i; 2] {
        let from: *const __m256i = stored.as_ptr().cast();
        // SAFETY: 64 codes have the size of two vectors.
        unsafe {
            [
                _mm512_cvtepi8_epi16(_mm256_loadu_si256(from)),
                _mm512_cvtepi8_epi16(_mm256_loadu_si256(from.add(1))),
            ]
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Matrix {
    /// Inputs as [`Matrix::products`] takes them, if there are such products.
    pub(super) fn rounded<T: Element>(&self, x: &[T]) -> Option<Rounded> {
        Rounded::new::<Widen, T>(x, self.columns)
    }

    /// The products of some rows with inputs that were [rounded](Matrix::rounded), with memory for the scale of each unit.
    pub(super) fn products(
        &self,
        rows: Range<usize>,
        inputs: &Rounded,
        scales: &mut [f32],
        sums: &mut [f32],
    ) {
        let of_rows = self.scales.get(rows.clone()).unwrap_or_default();
        for (scales, &scale) in scales.chunks_exact_mut(self.columns / UNIT).zip(of_rows) {
            scales.fill(scale);
        }
        inputs.products::<Widen>(self.codes.as_chunks().0, rows, scales, sums);
    }
}

vectorised! {
    fn dot<>(codes: &[i8], x: &[f32]) -> f32 {
        /// Sums that run side by side.
        const LANES: usize = 64;
        let mut sums = [0f32; LANES];
        let ((codes, codes_rest), (x, x_rest)) = (codes.as_chunks::<LANES>(), x.as_chunks::<LANES>());
        for (codes, x) in codes.iter().zip(x) {
            for ((sum, &code), x) in sums.iter_mut().zip(codes).zip(x) {
                *sum += f32::from(code) * x;
            }
        }
        for ((sum, &code), x) in sums.iter_mut().zip(codes_rest).zip(x_rest) {
            *sum += f32::from(code) * x;
        }
        const FEW: usize = 8;
        let mut few = [0f32; FEW];
        for sums in sums.as_chunks::<FEW>().0 {
            few.iter_mut().zip(sums).for_each(|(few, sum)| *few += sum);
        }
        few.iter().sum()
    }

    fn decode<>(codes: &[i8], scale: f32, into: &mut [f32]) {
        for (into, &code) in into.iter_mut().zip(codes) {
            *into = f32::from(code) * scale;
        }
    }

    /// Writes the codes of a row and returns its scale.
    fn encode<>(x: &[f32], codes: &mut [i8]) -> f32 {
        let greatest = x.iter().fold(0f32, |greatest, x| greatest.max(x.abs()));
        let inverse = if greatest > 0.0 { 127.0 / greatest } else { 0.0 };
        for (code, x) in codes.iter_mut().zip(x) {
            *code = (x * inverse).round_ties_even() as i8;
        }
        greatest / 127.0
    }
}
