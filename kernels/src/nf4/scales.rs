//! The magnitudes of blocks, as they are or quantised in turn ("double quantization", section 3 of the QLoRA paper).

use super::OPERATION;
use super::codes::{NESTED, nearest};
use crate::{KernelError, check};

/// Magnitudes that share one of their own.
const BLOCK: usize = 256;

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
        for block in scales.chunks(BLOCK) {
            let greatest = block.iter().map(|scale| (scale - offset).abs()).fold(0.0, f32::max);
            let inverse = if greatest > 0.0 { 1.0 / greatest } else { 0.0 };
            codes.extend(block.iter().map(|scale| nearest(&*NESTED, (scale - offset) * inverse)));
            magnitudes.push(greatest);
        }
        Self::Quantised { codes, magnitudes, offset }
    }

    /// The numbers that they stand for.
    pub(super) fn magnitudes(&self) -> Result<Vec<f32>, KernelError> {
        match self {
            Self::Plain(magnitudes) => Ok(magnitudes.clone()),
            Self::Quantised { codes, magnitudes, offset } => {
                check::length(OPERATION, "magnitudes", magnitudes, &[codes.len().div_ceil(BLOCK)])?;
                let blocks = codes.chunks(BLOCK).zip(magnitudes);
                let value = |code: &u8| NESTED.get(usize::from(*code)).copied().unwrap_or_default();
                let blocks = blocks.flat_map(|(codes, greatest)| {
                    codes.iter().map(move |code| value(code) * greatest + offset)
                });
                Ok(blocks.collect())
            }
        }
    }
}
