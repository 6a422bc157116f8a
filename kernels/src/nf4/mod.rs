//! Weights in 4-bit NormalFloat (Dettmers et al. 2023, "QLoRA", section 3), in the layout of bitsandbytes.
//!
//! A matrix is cut, row after row, into blocks of [`Options::block`] elements; the last may be shorter. An element is
//! stored as the number of the nearest of 16 values, times its block's greatest magnitude. Two numbers share a byte, the
//! first in the high half. The magnitudes may be quantised in turn ([`Scales::Quantised`]).

mod codes;
mod linear;
mod scales;

use rayon::prelude::*;

pub use codes::{NESTED, NF4};
pub use linear::{forward, input_gradient};
pub use scales::Scales;

use crate::{Element, Float, KernelError, check};

/// How a matrix is quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Elements of a block, an even number; bitsandbytes takes 64.
    pub block: usize,
    /// Whether the blocks' magnitudes are quantised too.
    pub double: bool,
}

/// A matrix in NF4.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    packed: Vec<u8>,
    scales: Scales,
    /// The magnitude of each block: what `scales` stand for.
    magnitudes: Vec<f32>,
    rows: usize,
    columns: usize,
    block: usize,
}

const OPERATION: &str = "nf4";

impl Matrix {
    /// Quantises `x` `[rows, columns]`.
    ///
    /// # Errors
    /// [`KernelError::Length`] if `x` doesn't fit, [`KernelError::Rule`] if the block size is odd or zero.
    pub fn quantise<T: Element>(
        x: &[T],
        rows: usize,
        columns: usize,
        options: Options,
    ) -> Result<Self, KernelError> {
        let block = options.block;
        check::length(OPERATION, "x", x, &[rows, columns])?;
        check::rule(
            OPERATION,
            "a block of an even number of elements",
            block > 0 && block.is_multiple_of(2),
        )?;
        let mut packed = vec![0; x.len().div_ceil(2)];
        let mut magnitudes = vec![0f32; x.len().div_ceil(block)];
        let tasks = packed.par_chunks_mut(block / 2).zip(&mut magnitudes).zip(x.par_chunks(block));
        tasks.for_each(|((packed, magnitude), x)| {
            let number = |x: &T| x.load().widen() as f32;
            *magnitude = x.iter().map(|x| number(x).abs()).fold(0.0, f32::max);
            let inverse = if *magnitude > 0.0 { 1.0 / *magnitude } else { 0.0 };
            let code = |x: &T| codes::nearest(&NF4, number(x) * inverse);
            for (byte, pair) in packed.iter_mut().zip(x.chunks(2)) {
                *byte = pair.first().map_or(0, code) << 4 | pair.get(1).map_or(0, code);
            }
        });
        let scales = if options.double { Scales::quantise(&magnitudes) } else { Scales::Plain(magnitudes) };
        Self::new(packed, scales, rows, columns, block)
    }

    /// A matrix `[rows, columns]` that was quantised before.
    ///
    /// # Errors
    /// [`KernelError::Length`] if `packed` or `scales` don't fit, [`KernelError::Rule`] if the block size is odd or zero.
    pub fn new(
        packed: Vec<u8>,
        scales: Scales,
        rows: usize,
        columns: usize,
        block: usize,
    ) -> Result<Self, KernelError> {
        check::rule(
            OPERATION,
            "a block of an even number of elements",
            block > 0 && block.is_multiple_of(2),
        )?;
        let count = rows.saturating_mul(columns);
        check::length(OPERATION, "packed", &packed, &[count.div_ceil(2)])?;
        let magnitudes = scales.magnitudes()?;
        check::length(OPERATION, "scales", &magnitudes, &[count.div_ceil(block)])?;
        Ok(Self { packed, scales, magnitudes, rows, columns, block })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The elements' numbers, two to a byte.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// What the elements are multiplied with.
    pub fn scales(&self) -> &Scales {
        &self.scales
    }

    /// Writes the matrix `[rows, columns]`.
    ///
    /// # Errors
    /// [`KernelError::Length`] if `into` doesn't fit.
    pub fn dequantise<T: Element>(&self, into: &mut [T]) -> Result<(), KernelError> {
        check::length(OPERATION, "into", into, &[self.rows, self.columns])?;
        self.dequantise_from(0, into);
        Ok(())
    }

    /// Writes the elements from one on that has an even number.
    fn dequantise_from<T: Element>(&self, first: usize, into: &mut [T]) {
        let ahead = (self.block - first % self.block).min(into.len());
        let (head, rest) = into.split_at_mut(ahead);
        self.dequantise_block(first, head);
        rest.par_chunks_mut(self.block).enumerate().for_each(|(block, into)| {
            self.dequantise_block(first + ahead + block * self.block, into);
        });
    }

    /// Writes elements of one block.
    fn dequantise_block<T: Element>(&self, first: usize, into: &mut [T]) {
        let magnitude = self.magnitudes.get(first / self.block).copied().unwrap_or_default();
        let values = NF4.map(|value| T::store(T::Compute::of(f64::from(value * magnitude))));
        let value = |code: u8| values.get(usize::from(code)).copied();
        let packed = self.packed.get(first / 2..).unwrap_or_default();
        for (into, &byte) in into.chunks_mut(2).zip(packed) {
            let pair = [value(byte >> 4), value(byte & 15)];
            into.iter_mut().zip(pair.into_iter().flatten()).for_each(|(into, value)| *into = value);
        }
    }
}
