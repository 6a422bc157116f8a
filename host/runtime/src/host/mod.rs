//! What plugins import: the interfaces of the contract, implemented on the state of a store.

pub(crate) mod batch;
pub(crate) mod generation;
mod log;
pub(crate) mod nn;
pub(crate) mod run;
mod tensor;

use std::fmt;
use std::sync::Arc;

use swift_tensor::Tensor;
use wasmtime::component::Resource;

use crate::bindings::tensor::{Error, Tensor as Handle};
use crate::limits::{self, Breach};
use crate::store::State;

/// Why an operation that a plugin asked for gives it nothing.
#[expect(unreachable_pub, reason = "generated code names it")]
pub enum Failure {
    /// The operation failed; the plugin is told and may go on.
    Tensor(swift_tensor::Error),
    /// A limit on what it may hold; the plugin is told and may go on.
    OutOfMemory(String),
    /// An argument that is too large for its limit; the plugin is told and may go on.
    InvalidArgument(String),
    /// Something that does not exist for this kind of plugin; the plugin is told and may go on.
    Unsupported(String),
    /// The plugin broke a rule; it is stopped.
    Trap(wasmtime::Error),
}

impl Failure {
    /// The end of a plugin, where the contract foresees no error.
    fn into_trap(self) -> wasmtime::Error {
        match self {
            Self::Trap(error) => error,
            other => wasmtime::Error::msg(other.to_string()),
        }
    }
}

/// For a trace.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor(error) => error.fmt(f),
            Self::OutOfMemory(message) | Self::InvalidArgument(message) | Self::Unsupported(message) => {
                f.write_str(message)
            }
            Self::Trap(error) => error.fmt(f),
        }
    }
}

impl From<swift_tensor::Error> for Failure {
    fn from(error: swift_tensor::Error) -> Self {
        Self::Tensor(error)
    }
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

impl From<Breach> for Failure {
    fn from(breach: Breach) -> Self {
        Self::Trap(breach.into())
    }
}

type Result<T> = std::result::Result<T, Failure>;

impl State {
    /// What the plugin is told of a failure. A value that is not finite, and memory that a device does not
    /// have, are kept, so that what the user may do about them is not lost in text.
    fn told(&mut self, failure: Failure) -> wasmtime::Result<Error> {
        use swift_tensor::Error as Tensor;
        let error = match failure {
            Failure::Trap(error) => return Err(error),
            Failure::OutOfMemory(message) => return Ok(Error::OutOfMemory(message)),
            Failure::InvalidArgument(message) => return Ok(Error::InvalidArgument(message)),
            Failure::Unsupported(message) => return Ok(Error::Unsupported(message)),
            Failure::Tensor(error) => error,
        };
        let message = error.to_string();
        let told = match &error {
            Tensor::ShapeMismatch { .. } => Error::ShapeMismatch(message),
            Tensor::DtypeMismatch { .. } => Error::DtypeMismatch(message),
            Tensor::InvalidArgument { .. } => Error::InvalidArgument(message),
            Tensor::OutOfMemory { .. } => {
                let allowed = limits::bytes(self.limits.tensor_bytes);
                Error::OutOfMemory(format!("{message}; the tensors of a call may take {allowed}"))
            }
            Tensor::DeviceMemory { .. } => Error::OutOfMemory(message),
            Tensor::Unsupported { .. } => Error::Unsupported(message),
            _ => Error::Other(message),
        };
        if let Tensor::NonFinite { .. } | Tensor::DeviceMemory { .. } = error {
            self.origin = Some(Box::new(error));
        }
        Ok(told)
    }

    /// Counts an operation that gives the plugin a handle.
    fn count(&mut self) -> std::result::Result<(), Breach> {
        self.usage.operations += 1;
        match self.usage.operations > self.limits.operations {
            true => Err(Breach::Operations(self.limits.operations)),
            false => Ok(()),
        }
    }

    /// Runs the operation `name` on tensors for the plugin, and charges its result.
    fn operate(
        &mut self,
        name: &str,
        inputs: &[&Resource<Handle>],
        f: impl FnOnce(&mut Self) -> Result<Tensor>,
    ) -> Result<Resource<Handle>> {
        self.traced(name, inputs, |state| state.charged(f))
    }

    fn charged(&mut self, f: impl FnOnce(&mut Self) -> Result<Tensor>) -> Result<Resource<Handle>> {
        self.count()?;
        let left = self.limits.tensor_bytes.saturating_sub(self.scope.bytes());
        // Four bytes an element is a guess, so that nothing far too large is made; what was made is looked at exactly.
        let tensor = self.on_host_time(|state| swift_tensor::with_element_limit(left / 4, || f(state)))?;
        if crate::scope::bytes(&tensor) > left {
            let allowed = limits::bytes(self.limits.tensor_bytes);
            return Err(Failure::OutOfMemory(format!(
                "the tensors of this call would take more than {allowed}"
            )));
        }
        let handle = self.scope.charge(tensor);
        self.usage.tensor_bytes = self.usage.tensor_bytes.max(self.scope.bytes());
        Ok(handle)
    }

    /// Gives the plugin a handle to a tensor of the host's.
    fn lend(&mut self, tensor: Tensor) -> std::result::Result<Resource<Handle>, Breach> {
        self.count()?;
        Ok(self.scope.lend(tensor))
    }
}

/// A view that the plugin has a handle to; as handles can't be forged, it is there during the call.
fn view<T: ?Sized>(view: &Option<Arc<T>>) -> wasmtime::Result<Arc<T>> {
    view.clone().ok_or_else(|| wasmtime::Error::msg("it used a view outside of the call that it belongs to"))
}
