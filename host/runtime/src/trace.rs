//! What plugins ask the host to compute, for those who want to watch.

use std::fmt;
use std::time::{Duration, Instant};

use swift_tensor::{DType, Tensor};
use wasmtime::component::Resource;

use crate::bindings::tensor::Tensor as Handle;
use crate::host::Failure;
use crate::scope::Scope;
use crate::store::State;

/// Is told of each operation that plugins ask for, after it is done, on the thread that the plugin runs on.
pub trait Trace: fmt::Debug + Send + Sync {
    /// The plugin called `plugin` asked for an operation.
    fn operation(&self, plugin: &str, operation: &Operation);
}

/// One operation that makes a tensor, hands one to the plugin, or reads one's elements.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The function of the plugin that asked for it, as in the contract: `compute`.
    pub function: &'static str,
    /// The operation, as in the contract: `log-softmax`; of a view with the view's name: `outputs.token-logps`.
    pub name: String,
    /// The tensors that it works on.
    pub inputs: Vec<TensorType>,
    /// The tensor that it makes, none if it makes something else or nothing; or why it failed.
    pub output: Result<Option<TensorType>, String>,
    /// What it took of the host's time. Outputs are computed when they are first asked for, which may run a model.
    pub time: Duration,
}

/// What a tensor is, without its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The size of each dimension.
    pub shape: Vec<usize>,
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype.as_str(), self.shape)
    }
}

impl From<&Tensor> for TensorType {
    fn from(tensor: &Tensor) -> Self {
        Self { dtype: tensor.dtype(), shape: tensor.dims().to_vec() }
    }
}

/// What an operation may give.
pub(crate) trait Given {
    /// The tensor in it.
    fn tensor(&self, scope: &Scope) -> Option<TensorType>;
}

impl Given for Resource<Handle> {
    fn tensor(&self, scope: &Scope) -> Option<TensorType> {
        Some(scope.get(self).ok()?.into())
    }
}

impl<T: Given> Given for Option<T> {
    fn tensor(&self, scope: &Scope) -> Option<TensorType> {
        self.as_ref()?.tensor(scope)
    }
}

impl Given for Vec<f64> {
    fn tensor(&self, _: &Scope) -> Option<TensorType> {
        None
    }
}

impl State {
    /// Runs an operation, and reports it if someone watches. `name` is the contract's with underscores.
    pub(crate) fn traced<T: Given>(
        &mut self,
        name: &str,
        inputs: &[&Resource<Handle>],
        run: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(trace) = self.trace.clone() else { return run(self) };
        let inputs = inputs.iter().filter_map(|input| input.tensor(&self.scope)).collect();
        let start = Instant::now();
        let result = run(self);
        let time = start.elapsed();
        let output = match &result {
            Ok(given) => Ok(given.tensor(&self.scope)),
            Err(failure) => Err(failure.to_string()),
        };
        let operation =
            Operation { function: self.function, name: name.replace('_', "-"), inputs, output, time };
        self.on_host_time(|state| trace.operation(&state.plugin, &operation));
        result
    }
}
