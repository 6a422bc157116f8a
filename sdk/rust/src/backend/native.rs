//! Outside of the sandbox: the host's tensor crate. Floating-point values of tests are `float64`.

use std::cell::Cell;
use std::panic::Location;

use swift_tensor::{DType, Tensor};

use crate::log::Level;
use crate::testing;
use crate::{Dtype, Error, ErrorKind, Result};

pub(crate) type Handle = Tensor;
pub(crate) type NativeDtype = DType;
pub(crate) type RawError = swift_tensor::Error;
pub(crate) type Batch<'a> = testing::BatchView<'a>;
pub(crate) type Outputs<'a> = &'a testing::OutputTensors;
pub(crate) type Context<'a> = &'a testing::NetworkContext;
pub(crate) type Run<'a> = &'a testing::Parameters;
pub(crate) type Generation<'a> = &'a testing::Answered;

pub(crate) use swift_tensor::{arange, cat, from_list, full, stack};

/// A tensor that a test gives; it holds an error if the test's numbers don't fit.
pub(crate) fn given(tensor: crate::Tensor) -> crate::Tensor {
    tensor
}

/// A teacher's outputs, as those of the policy are lent.
pub(crate) fn lent(teacher: &testing::OutputTensors) -> &testing::OutputTensors {
    teacher
}

pub(crate) fn native_dtype(dtype: Dtype) -> DType {
    match dtype {
        Dtype::Float64 => DType::F64,
        Dtype::Float32 => DType::F32,
        Dtype::Bfloat16 => DType::BF16,
        Dtype::Float16 => DType::F16,
        Dtype::Int64 => DType::I64,
        Dtype::Uint32 => DType::U32,
        Dtype::Uint8 => DType::U8,
    }
}

pub(crate) fn dtype(handle: &Handle) -> Result<Dtype> {
    match handle.dtype() {
        DType::F64 => Ok(Dtype::Float64),
        DType::F32 => Ok(Dtype::Float32),
        DType::BF16 => Ok(Dtype::Bfloat16),
        DType::F16 => Ok(Dtype::Float16),
        DType::I64 => Ok(Dtype::Int64),
        DType::U32 => Ok(Dtype::Uint32),
        DType::U8 => Ok(Dtype::Uint8),
        other => Err(Error::new(format!("element type `{other:?}` is not in the contract"))),
    }
}

pub(crate) fn shape(handle: &Handle) -> Vec<u64> {
    handle.dims().iter().map(|&size| size as u64).collect()
}

pub(crate) fn detach(handle: &Handle) -> Result<Handle, RawError> {
    Ok(handle.detach())
}

thread_local! {
    static NEXT_SEED: Cell<u64> = const { Cell::new(0) };
}

fn next_seed() -> u64 {
    NEXT_SEED.replace(NEXT_SEED.get() + 1)
}

pub(crate) fn uniform(low: f64, high: f64, shape: &[u64], dtype: DType) -> Result<Handle, RawError> {
    swift_tensor::uniform(low, high, shape, dtype, next_seed())
}

pub(crate) fn normal(mean: f64, deviation: f64, shape: &[u64], dtype: DType) -> Result<Handle, RawError> {
    swift_tensor::normal(mean, deviation, shape, dtype, next_seed())
}

pub(crate) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

/// An error of the tensor crate, caused at `location`.
pub(crate) fn error(error: RawError, location: &'static Location<'static>) -> Error {
    let kind = match &error {
        RawError::ShapeMismatch { .. } => ErrorKind::ShapeMismatch,
        RawError::DtypeMismatch { .. } => ErrorKind::DtypeMismatch,
        RawError::InvalidArgument { .. } => ErrorKind::InvalidArgument,
        RawError::OutOfMemory { .. } => ErrorKind::OutOfMemory,
        RawError::Unsupported { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    };
    Error::at(kind, error.to_string(), location)
}
