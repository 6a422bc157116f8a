//! In the sandbox: the host, through the contract.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::Location;

use crate::bindings::host::{self, batch_view, generation_view, nn, run_view, tensor};
use crate::log::Level;
use crate::{Dtype, Error, ErrorKind, Result, Tensor};

pub(crate) type NativeDtype = Dtype;
pub(crate) type RawError = tensor::Error;
pub(crate) type Batch<'a> = &'a batch_view::Batch;
pub(crate) type Outputs<'a> = &'a batch_view::Outputs;
pub(crate) type Context<'a> = &'a nn::Context;
pub(crate) type Run<'a> = &'a run_view::Run;
pub(crate) type Generation<'a> = &'a generation_view::Generation;

pub(crate) use tensor::{arange, from_list, full, normal, uniform};

/// A handle that is the plugin's, or one that the host lends for the time of a call.
pub(crate) enum Handle {
    Owned(tensor::Tensor),
    Lent(ManuallyDrop<tensor::Tensor>),
}

impl Handle {
    /// A second name for a handle that the host lends. A plugin that uses it after the call traps.
    pub(crate) fn lent(tensor: &tensor::Tensor) -> Self {
        #[expect(unsafe_code, reason = "the generated bindings take handles only so")]
        // SAFETY: The handle is valid, and `ManuallyDrop` leaves its release to the bindings that lend it.
        let second = unsafe { tensor::Tensor::from_handle(tensor.handle()) };
        Self::Lent(ManuallyDrop::new(second))
    }
}

impl From<tensor::Tensor> for Handle {
    fn from(tensor: tensor::Tensor) -> Self {
        Self::Owned(tensor)
    }
}

impl Deref for Handle {
    type Target = tensor::Tensor;
    fn deref(&self) -> &tensor::Tensor {
        match self {
            Self::Owned(tensor) => tensor,
            Self::Lent(tensor) => tensor,
        }
    }
}

/// A tensor that the host gives without fail.
pub(crate) fn given(tensor: tensor::Tensor) -> Tensor {
    Tensor::new(tensor)
}

pub(crate) fn native_dtype(dtype: Dtype) -> NativeDtype {
    dtype
}

pub(crate) fn dtype(handle: &Handle) -> Result<Dtype> {
    Ok(handle.dtype())
}

pub(crate) fn shape(handle: &Handle) -> Vec<u64> {
    handle.shape()
}

pub(crate) fn detach(handle: &Handle) -> Result<tensor::Tensor, RawError> {
    handle.detach()
}

pub(crate) fn cat(handles: &[&Handle], dim: i32) -> Result<tensor::Tensor, RawError> {
    tensor::cat(&borrowed(handles), dim)
}

pub(crate) fn stack(handles: &[&Handle], dim: i32) -> Result<tensor::Tensor, RawError> {
    tensor::stack(&borrowed(handles), dim)
}

fn borrowed<'a>(handles: &[&'a Handle]) -> Vec<&'a tensor::Tensor> {
    handles.iter().map(|handle| &***handle).collect()
}

pub(crate) fn log(level: Level, message: &str) {
    host::log::write(level, message);
}

/// An error of the host, caused at `location`.
pub(crate) fn error(error: RawError, location: &'static Location<'static>) -> Error {
    let (kind, message) = match error {
        RawError::ShapeMismatch(message) => (ErrorKind::ShapeMismatch, message),
        RawError::DtypeMismatch(message) => (ErrorKind::DtypeMismatch, message),
        RawError::InvalidArgument(message) => (ErrorKind::InvalidArgument, message),
        RawError::OutOfMemory(message) => (ErrorKind::OutOfMemory, message),
        RawError::Unsupported(message) => (ErrorKind::Unsupported, message),
        RawError::Other(message) => (ErrorKind::Other, message),
    };
    Error::at(kind, message, location)
}

impl From<Error> for RawError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error.kind() {
            ErrorKind::ShapeMismatch => Self::ShapeMismatch(message),
            ErrorKind::DtypeMismatch => Self::DtypeMismatch(message),
            ErrorKind::InvalidArgument => Self::InvalidArgument(message),
            ErrorKind::OutOfMemory => Self::OutOfMemory(message),
            ErrorKind::Unsupported => Self::Unsupported(message),
            ErrorKind::Other => Self::Other(message),
        }
    }
}

/// Outputs that the host gives away, as those that it lends.
pub(crate) fn lent(outputs: &batch_view::Outputs) -> &batch_view::Outputs {
    outputs
}
