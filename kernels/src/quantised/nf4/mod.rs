//! Weights in 4-bit NormalFloat (Dettmers et al. 2023, "QLoRA", section 3), in the layout of bitsandbytes.
//!
//! A matrix is cut, row after row, into blocks of [`Options::block`] elements; the last may be shorter. An element is
//! stored as the number of the nearest of 16 values, times its block's greatest magnitude. Two numbers share a byte, the
//! first in the high half. The magnitudes may be quantised in turn ([`Scales::Quantised`]).

#[cfg(target_arch = "x86_64")]
mod bfloat16;
mod codes;
mod decode;
#[cfg(target_arch = "x86_64")]
mod dot;
#[cfg(target_arch = "x86_64")]
mod elements;
#[cfg(target_arch = "x86_64")]
mod lookup;
mod scales;
#[cfg(target_arch = "x86_64")]
mod whole;

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
pub(crate) use bfloat16::Arranged;
pub use codes::{NESTED, NF4};
pub use scales::{NESTED_BLOCK, Scales};

use super::Encoded;
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
    rows: usize,
    columns: usize,
    block: usize,
}

const OPERATION: &str = "nf4";

/// Blocks that one task quantises.
const BLOCKS: usize = 256;

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
        check::length(OPERATION, "x", x, &[rows, columns])?;
        Self::quantise_with(rows, columns, options, |first, into| {
            let x = x.get(first..).unwrap_or_default();
            into.iter_mut().zip(x).for_each(|(into, x)| *into = x.load().widen() as f32);
        })
    }

    /// Quantises a matrix of which `fill` writes the elements from one on, counted row after row. 256 blocks for each
    /// thread exist at a time.
    ///
    /// # Errors
    /// [`KernelError::Rule`] if the block size is odd or zero.
    pub fn quantise_with(
        rows: usize,
        columns: usize,
        options: Options,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Result<Self, KernelError> {
        let block = options.block;
        even(block)?;
        let count = rows * columns;
        let mut packed = vec![0; count.div_ceil(2)];
        let mut magnitudes = vec![0f32; count.div_ceil(block)];
        let task = BLOCKS * block;
        let tasks = packed.par_chunks_mut(task / 2).zip(magnitudes.par_chunks_mut(BLOCKS)).enumerate();
        tasks.for_each_init(
            || vec![0.0; task],
            |buffer, (index, (packed, magnitudes))| {
                let first = index * task;
                let x = buffer.get_mut(..task.min(count - first)).unwrap_or_default();
                fill(first, x);
                codes::encode(x, block, packed, magnitudes);
            },
        );
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
        even(block)?;
        let count = rows.saturating_mul(columns);
        check::length(OPERATION, "packed", &packed, &[count.div_ceil(2)])?;
        scales.check(count.div_ceil(block))?;
        Ok(Self { packed, scales, rows, columns, block })
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
        self.packed.len() + self.scales.bytes()
    }

    pub(super) fn encoded(&self) -> Encoded<'_> {
        let blocks = (self.rows * self.columns).div_ceil(self.block);
        let magnitudes = self.scales.magnitudes();
        let scales = (0..blocks).map(|block| magnitudes.of(block)).collect();
        Encoded { bits: 4, codes: self.packed.as_slice().into(), scales, block: self.block }
    }

    /// The elements' numbers, two to a byte.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// What the elements are multiplied with.
    pub fn scales(&self) -> &Scales {
        &self.scales
    }
}

fn even(block: usize) -> Result<(), KernelError> {
    check::rule(OPERATION, "a block of an even number of elements", block > 0 && block.is_multiple_of(2))
}
