//! The bodies of operations on a CUDA device, in the shape of those on the CPU: values in, values out.
//!
//! A body makes [`Buffer`]s, has kernels of `swift-kernels-cuda` or products write them, and turns them into values. What an
//! operation checks, and what it records on the tape, is not here. Everything of one device goes through one stream, in order, so
//! that memory may be given back as soon as what uses it has been queued.
//!
//! With the feature `emulation` the CPU stands for the device: the same bodies run, kernels by the emulator and products by
//! `swift-kernels`. That is how they are tested where there is no GPU.

mod adamw;
mod attention;
mod buffer;
#[cfg(feature = "cuda")]
mod device;
mod elements;
mod float8;
mod gates;
mod gemm;
mod graph;
mod grouped;
mod launch;
mod linear;
mod lines;
mod logits;
mod paged;
mod quantised;
mod rms_norm;
mod rope;
mod row_norms;
mod staging;
mod sums;
mod unary;
mod upload;

use candle_core::DType;

pub(crate) use adamw::{adamw, sums_of_squares};
pub(crate) use attention::{Sequences, attention_backward, attention_forward};
pub(crate) use buffer::Buffer;
#[cfg(feature = "cuda")]
pub(crate) use device::{compute_capability, open};
pub(crate) use elements::{cat, contiguous, converted, copy_into, joined, sum, take_rows, with_number};
pub(crate) use float8::multiply_float8;
pub(crate) use gates::{dropout, swiglu_backward, swiglu_forward};
pub(crate) use gemm::{multiply, product};
#[cfg(feature = "cuda")]
pub(crate) use graph::DeviceGraph;
#[cfg(feature = "emulation")]
pub(crate) use graph::EmulatedGraph;
pub(crate) use grouped::{grouped_forward, grouped_input_gradient, grouped_weight_gradients};
pub(crate) use linear::linear;
pub(crate) use lines::{first_greatest, order, running_sum};
pub(crate) use logits::{direction_gradient, logits_backward, logits_forward};
pub(crate) use paged::{PagedQueries, paged_attention, paged_copy, paged_write};
pub(crate) use quantised::DeviceMatrix;
pub(crate) use rms_norm::{rms_norm_backward, rms_norm_forward};
pub(crate) use rope::rotate;
pub(crate) use row_norms::row_norms;
pub(crate) use staging::StagingMemory;
pub(crate) use sums::{column_sums, group_sums};
pub(crate) use unary::{full, unary_backward, unary_forward};
pub(crate) use upload::write;

use crate::storage::wide;
use crate::{Error, Result};

/// Refuses element types that kernels do not exist for.
fn known(op: &'static str, dtype: DType) -> Result<()> {
    match dtype {
        DType::F32 | DType::F64 | DType::BF16 | DType::F16 => Ok(()),
        other => Err(Error::unsupported_dtype(op, other)),
    }
}
