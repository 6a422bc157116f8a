//! Fused operations on plain slices, forward and backward.
//!
//! Each module is one family of operations, a pair of plain functions without autograd: the caller owns the memory,
//! says the sizes, and gets a [`KernelError`] if a slice doesn't fit. Arrays are row-major without gaps. Functions are
//! generic over [`Element`]: `f32` and `f64` compute in themselves, `bf16` and `f16` compute in `f32` and round what they store.
//!
//! Outputs and gradients of activations are overwritten; gradients of parameters are added to what is there.
//!
//! **Results don't depend on the number of threads.** Work is cut into pieces whose sizes follow from the shapes alone,
//! each piece is computed by one thread, and partial sums are combined in a fixed order. Matrix products keep to this too,
//! here and in the `gemm` crate: threads share out the blocks of the result and never the inner dimension.

pub mod adamw;
#[cfg(target_arch = "x86_64")]
mod ahead;
pub mod attention;
#[cfg(target_arch = "x86_64")]
mod bfloat16;
mod by_rows;
mod check;
pub mod dropout;
mod element;
pub mod elementwise;
mod error;
pub mod float8;
pub mod grouped;
mod half_precision;
#[cfg(target_arch = "x86_64")]
mod line;
pub mod low_rank;
pub mod matmul;
mod matrix;
pub mod quantised;
pub mod random;
pub mod rms_norm;
pub mod rope;
pub mod segment;
pub mod softmax;
mod sums;
pub mod swiglu;
#[cfg(target_arch = "x86_64")]
mod tiles;
pub mod token_logps;
mod vectorised;

pub use dropout::Dropout;
pub use element::{Element, Float, Known, KnownMut};
pub use error::KernelError;

/// Elements that one task of an elementwise operation works on.
const CHUNK: usize = 1 << 14;
