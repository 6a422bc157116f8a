//! The `tensor` interface: a thin mapping onto [`swift_tensor::Tensor`], as a table where the shapes allow it.

use swift_tensor::{DType, Error as TensorError, Result as TensorResult, Tensor};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::tensor::{self as wit, Dtype, Host, HostTensor};
use crate::state::{State, TensorHandle};

type Handle = Resource<TensorHandle>;
type Outcome = std::result::Result<Handle, TensorError>;

fn dtype_from_wit(dtype: Dtype) -> DType {
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

fn dtype_to_wit(dtype: DType) -> Result<Dtype> {
    Ok(match dtype {
        DType::F64 => Dtype::Float64,
        DType::F32 => Dtype::Float32,
        DType::BF16 => Dtype::Bfloat16,
        DType::F16 => Dtype::Float16,
        DType::I64 => Dtype::Int64,
        DType::U32 => Dtype::Uint32,
        DType::U8 => Dtype::Uint8,
        other => wasmtime::bail!("the contract has no element type `{}`", other.as_str()),
    })
}

impl State {
    fn apply(&mut self, this: &Handle, f: impl FnOnce(&Tensor) -> TensorResult<Tensor>) -> Outcome {
        self.on_host(|state| {
            let result = f(state.tensor(this)?)?;
            state.lend(result)
        })
    }

    fn apply2(
        &mut self,
        a: &Handle,
        b: &Handle,
        f: impl FnOnce(&Tensor, &Tensor) -> TensorResult<Tensor>,
    ) -> Outcome {
        self.on_host(|state| {
            let result = f(state.tensor(a)?, state.tensor(b)?)?;
            state.lend(result)
        })
    }

    fn join(&mut self, tensors: &[Handle], f: impl FnOnce(&[&Tensor]) -> TensorResult<Tensor>) -> Outcome {
        self.on_host(|state| {
            let inputs =
                tensors.iter().map(|handle| state.tensor(handle)).collect::<TensorResult<Vec<_>>>()?;
            let result = f(&inputs)?;
            state.lend(result)
        })
    }

    fn make(&mut self, f: impl FnOnce() -> TensorResult<Tensor>) -> Outcome {
        self.on_host(|state| state.lend(f()?))
    }

    /// The seed of the next random tensor.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.limits.seed ^ self.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn admit_list(&self, what: &'static str, elements: usize) -> TensorResult<()> {
        let limit = self.limits.list_elements;
        if elements as u64 > limit {
            let message = format!("a list of {elements} elements, and the limit is {limit}");
            return Err(TensorError::InvalidArgument { op: what, message });
        }
        Ok(())
    }
}

impl Host for State {
    /// Turns an error into the contract's; remembers a value that is not finite, so that its origin is not lost in text.
    fn convert_error(&mut self, error: TensorError) -> Result<wit::Error> {
        let message = error.to_string();
        Ok(match error {
            TensorError::ShapeMismatch { .. } => wit::Error::ShapeMismatch(message),
            TensorError::DtypeMismatch { .. } => wit::Error::DtypeMismatch(message),
            TensorError::InvalidArgument { .. } => wit::Error::InvalidArgument(message),
            TensorError::OutOfMemory { .. } => {
                self.memory_refused = true;
                wit::Error::OutOfMemory(message)
            }
            TensorError::Unsupported { .. } => wit::Error::Unsupported(message),
            TensorError::NonFinite { .. } => {
                self.non_finite = Some(error);
                wit::Error::Other(message)
            }
            _ => wit::Error::Other(message),
        })
    }

    fn from_list(&mut self, values: Vec<f64>, shape: Vec<u64>, dtype: Dtype) -> Outcome {
        self.admit_list("from-list", values.len())?;
        self.make(|| swift_tensor::from_list(&values, &shape, dtype_from_wit(dtype)))
    }

    fn full(&mut self, value: f64, shape: Vec<u64>, dtype: Dtype) -> Outcome {
        self.make(|| swift_tensor::full(value, &shape, dtype_from_wit(dtype)))
    }

    fn arange(&mut self, count: u64) -> Outcome {
        self.make(|| swift_tensor::arange(count))
    }

    fn uniform(&mut self, low: f64, high: f64, shape: Vec<u64>, dtype: Dtype) -> Outcome {
        let seed = self.draw();
        self.make(|| swift_tensor::uniform(low, high, &shape, dtype_from_wit(dtype), seed))
    }

    fn normal(&mut self, mean: f64, deviation: f64, shape: Vec<u64>, dtype: Dtype) -> Outcome {
        let seed = self.draw();
        self.make(|| swift_tensor::normal(mean, deviation, &shape, dtype_from_wit(dtype), seed))
    }

    fn cat(&mut self, tensors: Vec<Handle>, dim: i32) -> Outcome {
        self.join(&tensors, |tensors| swift_tensor::cat(tensors, dim))
    }

    fn stack(&mut self, tensors: Vec<Handle>, dim: i32) -> Outcome {
        self.join(&tensors, |tensors| swift_tensor::stack(tensors, dim))
    }
}

/// Writes methods of the interface from rows of: name, further arguments, and the call on the tensor.
macro_rules! operations {
    ($($name:ident($($argument:ident: $type:ty),*) => |$x:ident| $call:expr;)*) => {$(
        fn $name(&mut self, this: Handle $(, $argument: $type)*) -> Outcome {
            self.apply(&this, |$x| $call)
        }
    )*};
    (with_tensor: $($name:ident($($before:ident: $type:ty,)? [$other:ident]$(, $after:ident: $after_type:ty)?) => |$x:ident, $y:ident| $call:expr;)*) => {$(
        fn $name(&mut self, this: Handle $(, $before: $type)?, $other: Handle $(, $after: $after_type)?) -> Outcome {
            self.apply2(&this, &$other, |$x, $y| $call)
        }
    )*};
}

impl HostTensor for State {
    fn shape(&mut self, this: Handle) -> Result<Vec<u64>> {
        Ok(self.tensor(&this)?.dims().iter().map(|&size| size as u64).collect())
    }

    fn dtype(&mut self, this: Handle) -> Result<Dtype> {
        dtype_to_wit(self.tensor(&this)?.dtype())
    }

    fn to_list(&mut self, this: Handle) -> std::result::Result<Vec<f64>, TensorError> {
        self.admit_list("to-list", self.tensor(&this)?.elem_count())?;
        self.on_host(|state| state.tensor(&this)?.to_list())
    }

    fn drop(&mut self, handle: Handle) -> Result<()> {
        self.reclaim(&handle);
        Ok(())
    }

    fn choose(&mut self, this: Handle, on_true: Handle, on_false: Handle) -> Outcome {
        self.on_host(|state| {
            let result = state.tensor(&this)?.choose(state.tensor(&on_true)?, state.tensor(&on_false)?)?;
            state.lend(result)
        })
    }

    operations! {
        scale(by: f64) => |x| x.scale(by);
        add_scalar(value: f64) => |x| x.add_scalar(value);
        pow(exponent: f64) => |x| x.pow(exponent);
        clamp(low: f64, high: f64) => |x| x.clamp(low, high);
        neg() => |x| x.neg();
        abs() => |x| x.abs();
        exp() => |x| x.exp();
        log() => |x| x.log();
        sqrt() => |x| x.sqrt();
        sin() => |x| x.sin();
        cos() => |x| x.cos();
        tanh() => |x| x.tanh();
        sigmoid() => |x| x.sigmoid();
        log_sigmoid() => |x| x.log_sigmoid();
        softplus() => |x| x.softplus();
        relu() => |x| x.relu();
        gelu() => |x| x.gelu();
        gelu_tanh() => |x| x.gelu_tanh();
        silu() => |x| x.silu();
        sum(dims: Vec<i32>, keep: bool) => |x| x.sum(&dims, keep);
        mean(dims: Vec<i32>, keep: bool) => |x| x.mean(&dims, keep);
        max(dim: i32, keep: bool) => |x| x.max(dim, keep);
        min(dim: i32, keep: bool) => |x| x.min(dim, keep);
        logsumexp(dim: i32, keep: bool) => |x| x.logsumexp(dim, keep);
        softmax(dim: i32) => |x| x.softmax(dim);
        log_softmax(dim: i32) => |x| x.log_softmax(dim);
        cumsum(dim: i32) => |x| x.cumsum(dim);
        argmax(dim: i32, keep: bool) => |x| x.argmax(dim, keep);
        sort(descending: bool) => |x| x.sort(descending);
        argsort(descending: bool) => |x| x.argsort(descending);
        narrow(dim: i32, start: u64, length: u64) => |x| x.narrow(dim, start, length);
        reshape(shape: Vec<i64>) => |x| x.reshape(&shape);
        transpose(first: i32, second: i32) => |x| x.transpose(first, second);
        broadcast_to(shape: Vec<u64>) => |x| x.broadcast_to(&shape);
        cast(to: Dtype) => |x| x.cast(dtype_from_wit(to));
        detach() => |x| Ok(x.detach());
    }

    operations! { with_tensor:
        add([rhs]) => |a, b| a.add(b);
        sub([rhs]) => |a, b| a.sub(b);
        mul([rhs]) => |a, b| a.mul(b);
        div([rhs]) => |a, b| a.div(b);
        maximum([rhs]) => |a, b| a.maximum(b);
        minimum([rhs]) => |a, b| a.minimum(b);
        matmul([rhs]) => |a, b| a.matmul(b);
        gather(dim: i32, [index]) => |x, index| x.gather(dim, index);
        index_select(dim: i32, [index]) => |x, index| x.index_select(dim, index);
        segment_sum([segments], count: u64) => |x, segments| x.segment_sum(segments, count);
        segment_mean([segments], count: u64) => |x, segments| x.segment_mean(segments, count);
        eq([rhs]) => |a, b| a.eq(b);
        gt([rhs]) => |a, b| a.gt(b);
        ge([rhs]) => |a, b| a.ge(b);
        lt([rhs]) => |a, b| a.lt(b);
        le([rhs]) => |a, b| a.le(b);
    }
}
