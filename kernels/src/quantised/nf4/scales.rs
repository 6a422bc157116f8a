//! The magnitudes of blocks, as they are or quantised in turn ("double quantization", section 3 of the QLoRA paper).

use super::OPERATION;
use super::codes::{NESTED, nearest};
#[cfg(target_arch = "x86_64")]
use crate::ahead::Ahead;
use crate::{KernelError, check};

/// Magnitudes that share one of their own.
pub const NESTED_BLOCK: usize = 256;

/// The greatest magnitude of each block.
#[derive(Clone, Debug, PartialEq)]
pub enum Scales {
    /// As numbers.
    Plain(Vec<f32>),
    /// `NESTED[codes[i]] * magnitudes[i / 256] + offset`.
    Quantised {
        /// Numbers of the values in [`super::NESTED`].
        codes: Vec<u8>,
        /// The greatest magnitude of each 256, after the offset was taken away.
        magnitudes: Vec<f32>,
        /// Their mean.
        offset: f32,
    },
}

impl Scales {
    /// Quantises magnitudes.
    pub(super) fn quantise(scales: &[f32]) -> Self {
        let sum: f64 = scales.iter().map(|&scale| f64::from(scale)).sum();
        let offset = (sum / scales.len().max(1) as f64) as f32;
        let mut codes = Vec::with_capacity(scales.len());
        let mut magnitudes = Vec::new();
        for block in scales.chunks(NESTED_BLOCK) {
            let greatest = block.iter().map(|scale| (scale - offset).abs()).fold(0.0, f32::max);
            let inverse = if greatest > 0.0 { 1.0 / greatest } else { 0.0 };
            codes.extend(block.iter().map(|scale| nearest(&*NESTED, (scale - offset) * inverse)));
            magnitudes.push(greatest);
        }
        Self::Quantised { codes, magnitudes, offset }
    }

    /// Refuses scales of another number of blocks.
    pub(super) fn check(&self, blocks: usize) -> Result<(), KernelError> {
        match self {
            Self::Plain(magnitudes) => check::length(OPERATION, "scales", magnitudes, &[blocks]),
            Self::Quantised { codes, magnitudes, .. } => {
                check::length(OPERATION, "scales", codes, &[blocks])?;
                check::length(OPERATION, "magnitudes", magnitudes, &[codes.len().div_ceil(NESTED_BLOCK)])
            }
        }
    }

    /// The memory that they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(magnitudes) => size_of_val(magnitudes.as_slice()),
            Self::Quantised { codes, magnitudes, .. } => codes.len() + size_of_val(magnitudes.as_slice()),
        }
    }

    /// Writes those of the blocks from one on, as far as there are any.
    pub(super) fn write(&self, first: usize, mut into: &mut [f32]) {
        match self {
            Self::Plain(magnitudes) => {
                let magnitudes = magnitudes.get(first..).unwrap_or_default();
                into.iter_mut().zip(magnitudes).for_each(|(into, magnitude)| *into = *magnitude);
            }
            Self::Quantised { codes, magnitudes, offset } => {
                let mut first = first;
                while !into.is_empty() {
                    let count = into.len().min(NESTED_BLOCK - first % NESTED_BLOCK);
                    let magnitude = magnitudes.get(first / NESTED_BLOCK).copied().unwrap_or_default();
                    let (part, rest) = into.split_at_mut(count);
                    look_up(codes.get(first..).unwrap_or_default(), magnitude, *offset, &NESTED, part);
                    (first, into) = (first + count, rest);
                }
            }
        }
    }

    /// Has those of the blocks from one on, as far as there are any, fetched from memory.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn fetch(&self, first: usize, count: usize) {
        let mut ahead = match self {
            Self::Plain(magnitudes) => Ahead::new(some(magnitudes, first, count)),
            Self::Quantised { codes, .. } => Ahead::new(some(codes, first, count)),
        };
        ahead.fetch(usize::MAX);
    }

    /// The numbers that they stand for.
    #[inline(always)]
    pub(super) fn magnitudes(&self) -> Magnitudes<'_> {
        Magnitudes { scales: self, nested: &NESTED }
    }
}

/// So many of the elements from one on, as far as there are any.
#[cfg(target_arch = "x86_64")]
fn some<T>(elements: &[T], first: usize, count: usize) -> &[T] {
    let elements = elements.get(first..).unwrap_or_default();
    elements.get(..count).unwrap_or(elements)
}

/// Compiled for every processor alike: wider ones would gather values, which takes longer than one after the other.
fn look_up(codes: &[u8], magnitude: f32, offset: f32, nested: &[f32; 256], into: &mut [f32]) {
    for (into, &code) in into.iter_mut().zip(codes) {
        let value = nested.get(usize::from(code)).copied().unwrap_or_default();
        *into = value * magnitude + offset;
    }
}

/// See [`Scales::magnitudes`].
#[derive(Clone, Copy)]
pub(super) struct Magnitudes<'a> {
    scales: &'a Scales,
    nested: &'a [f32; 256],
}

impl Magnitudes<'_> {
    /// That of one block.
    #[inline(always)]
    pub(super) fn of(self, block: usize) -> f32 {
        let of = |magnitudes: &[f32], index: usize| magnitudes.get(index).copied().unwrap_or_default();
        match self.scales {
            Scales::Plain(magnitudes) => of(magnitudes, block),
            Scales::Quantised { codes, magnitudes, offset } => {
                let code = codes.get(block).copied().unwrap_or_default();
                of(self.nested, usize::from(code)) * of(magnitudes, block / NESTED_BLOCK) + offset
            }
        }
    }
}
