//! Data from fixed seeds, as a host would show it to a plugin.

mod batch;
mod columns;
mod shape;

use swift_tensor::{DType, Result, Tensor, from_list, uniform};

pub(crate) use batch::Batch;
pub(crate) use columns::{Column, Computed, columns, parameter};
pub(crate) use shape::Shape;

/// Number of tokens that there are.
pub(crate) const VOCABULARY: u64 = 7;

/// Width of hidden states.
pub(crate) const HIDDEN: u64 = 4;

/// Numbers from `low` on and below `high`.
pub(crate) fn numbers(low: f64, high: f64, count: u64, seed: u64) -> Result<Vec<f64>> {
    uniform(low, high, &[count], DType::F64, seed)?.to_list()
}

/// `[values.len()]`.
pub(crate) fn vector(values: &[f64], dtype: DType) -> Result<Tensor> {
    from_list(values, &[values.len() as u64], dtype)
}

/// A seed for things that are called `name`.
pub(crate) fn seed_of(name: &str) -> u64 {
    name.bytes().fold(17, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()))
}
