//! The operations of the contract's `tensor` interface, a file for each family.

mod binary;
mod compare;
mod create;
mod index;
mod matmul;
mod reduce;
mod scalar;
mod segment;
mod shape;
mod sort;
mod unary;

pub use create::{arange, from_list, full, normal, uniform};
pub use shape::{cat, stack};

#[cfg(any(feature = "cuda", feature = "emulation"))]
pub(crate) use binary::Join;
pub(crate) use binary::sum;
pub(crate) use index::index_add;
pub(crate) use shape::reduce_to;
pub(crate) use unary::Real;
