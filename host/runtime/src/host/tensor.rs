//! `tensor`: each operation of the contract is the method of [`swift_tensor::Tensor`] of the same name.

use swift_tensor::{DType, Tensor};
use wasmtime::component::Resource;

use super::{Failure, Result};
use crate::bindings::tensor::{Dtype, Error, Host, HostTensor, Tensor as Handle};
use crate::random;
use crate::store::State;

impl State {
    fn unary(
        &mut self,
        name: &str,
        x: Resource<Handle>,
        f: impl FnOnce(&Tensor) -> swift_tensor::Result<Tensor>,
    ) -> Result<Resource<Handle>> {
        self.operate(name, &[&x], |state| Ok(f(state.scope.get(&x)?)?))
    }

    fn binary(
        &mut self,
        name: &str,
        x: Resource<Handle>,
        y: Resource<Handle>,
        f: impl FnOnce(&Tensor, &Tensor) -> swift_tensor::Result<Tensor>,
    ) -> Result<Resource<Handle>> {
        self.operate(name, &[&x, &y], |state| Ok(f(state.scope.get(&x)?, state.scope.get(&y)?)?))
    }

    fn many(
        &mut self,
        name: &str,
        tensors: Vec<Resource<Handle>>,
        f: impl FnOnce(&[&Tensor]) -> swift_tensor::Result<Tensor>,
    ) -> Result<Resource<Handle>> {
        let inputs: Vec<&Resource<Handle>> = tensors.iter().collect();
        self.operate(name, &inputs, |state| {
            let tensors: Vec<&Tensor> =
                tensors.iter().map(|tensor| state.scope.get(tensor)).collect::<wasmtime::Result<_>>()?;
            Ok(f(&tensors)?)
        })
    }

    /// A random tensor: its seed depends on the call's seed and on how many were drawn before it in the call.
    fn draw(
        &mut self,
        name: &str,
        f: impl FnOnce(u64) -> swift_tensor::Result<Tensor>,
    ) -> Result<Resource<Handle>> {
        let Some(seed) = self.views.seed else {
            return Err(Failure::Unsupported(
                "random tensors exist only while a loss is computed or a token is chosen".into(),
            ));
        };
        let draw = self.draws;
        self.draws += 1;
        self.operate(name, &[], |_| Ok(f(random::combine(&[seed, draw]))?))
    }

    fn check_list(&self, elements: u64) -> Result<()> {
        let allowed = self.limits.list_elements;
        if elements > allowed {
            let message = format!("a list of {elements} elements, and {allowed} are allowed");
            return Err(Failure::InvalidArgument(message));
        }
        Ok(())
    }
}

/// Operations of one tensor and plain numbers.
macro_rules! unary {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $name(&mut self, x: Resource<Handle>, $($argument: $type),*) -> Result<Resource<Handle>> {
            self.unary(stringify!($name), x, |x| x.$name($($argument),*))
        }
    )*};
}

/// Operations of two tensors.
macro_rules! binary {
    ($($name:ident)*) => {$(
        fn $name(&mut self, x: Resource<Handle>, y: Resource<Handle>) -> Result<Resource<Handle>> {
            self.binary(stringify!($name), x, y, |x, y| x.$name(y))
        }
    )*};
}

impl HostTensor for State {
    fn shape(&mut self, x: Resource<Handle>) -> wasmtime::Result<Vec<u64>> {
        Ok(self.scope.get(&x)?.dims().iter().map(|&size| size as u64).collect())
    }

    fn dtype(&mut self, x: Resource<Handle>) -> wasmtime::Result<Dtype> {
        let dtype = self.scope.get(&x)?.dtype();
        contract_dtype(dtype)
            .ok_or_else(|| wasmtime::Error::msg(format!("the contract has no `{}`", dtype.as_str())))
    }

    binary! { add sub mul div maximum minimum matmul eq gt ge lt le }

    unary! {
        scale(by: f64);
        add_scalar(value: f64);
        pow(exponent: f64);
        clamp(low: f64, high: f64);
        neg();
        abs();
        exp();
        log();
        sqrt();
        sin();
        cos();
        tanh();
        sigmoid();
        log_sigmoid();
        softplus();
        relu();
        gelu();
        gelu_tanh();
        silu();
        max(dim: i32, keep: bool);
        min(dim: i32, keep: bool);
        logsumexp(dim: i32, keep: bool);
        softmax(dim: i32);
        log_softmax(dim: i32);
        cumsum(dim: i32);
        argmax(dim: i32, keep: bool);
        sort(descending: bool);
        argsort(descending: bool);
        narrow(dim: i32, start: u64, length: u64);
        transpose(first: i32, second: i32);
    }

    fn sum(&mut self, x: Resource<Handle>, dims: Vec<i32>, keep: bool) -> Result<Resource<Handle>> {
        self.unary("sum", x, |x| x.sum(&dims, keep))
    }

    fn mean(&mut self, x: Resource<Handle>, dims: Vec<i32>, keep: bool) -> Result<Resource<Handle>> {
        self.unary("mean", x, |x| x.mean(&dims, keep))
    }

    fn reshape(&mut self, x: Resource<Handle>, shape: Vec<i64>) -> Result<Resource<Handle>> {
        self.unary("reshape", x, |x| x.reshape(&shape))
    }

    fn broadcast_to(&mut self, x: Resource<Handle>, shape: Vec<u64>) -> Result<Resource<Handle>> {
        self.unary("broadcast_to", x, |x| x.broadcast_to(&shape))
    }

    fn cast(&mut self, x: Resource<Handle>, to: Dtype) -> Result<Resource<Handle>> {
        self.unary("cast", x, |x| x.cast(host_dtype(to)))
    }

    fn detach(&mut self, x: Resource<Handle>) -> Result<Resource<Handle>> {
        let held = self.held.clone();
        self.unary("detach", x, |x| Ok(held.map_or_else(|| x.detach(), |held| held.detach(x))))
    }

    fn gather(&mut self, x: Resource<Handle>, dim: i32, index: Resource<Handle>) -> Result<Resource<Handle>> {
        self.binary("gather", x, index, |x, index| x.gather(dim, index))
    }

    fn index_select(
        &mut self,
        x: Resource<Handle>,
        dim: i32,
        index: Resource<Handle>,
    ) -> Result<Resource<Handle>> {
        self.binary("index_select", x, index, |x, index| x.index_select(dim, index))
    }

    fn segment_sum(
        &mut self,
        x: Resource<Handle>,
        segments: Resource<Handle>,
        count: u64,
    ) -> Result<Resource<Handle>> {
        self.binary("segment_sum", x, segments, |x, segments| x.segment_sum(segments, count))
    }

    fn segment_mean(
        &mut self,
        x: Resource<Handle>,
        segments: Resource<Handle>,
        count: u64,
    ) -> Result<Resource<Handle>> {
        self.binary("segment_mean", x, segments, |x, segments| x.segment_mean(segments, count))
    }

    fn choose(
        &mut self,
        mask: Resource<Handle>,
        on_true: Resource<Handle>,
        on_false: Resource<Handle>,
    ) -> Result<Resource<Handle>> {
        self.operate("choose", &[&mask, &on_true, &on_false], |state| {
            let (mask, scope) = (state.scope.get(&mask)?, &state.scope);
            Ok(mask.choose(scope.get(&on_true)?, scope.get(&on_false)?)?)
        })
    }

    fn to_list(&mut self, x: Resource<Handle>) -> Result<Vec<f64>> {
        self.traced("to_list", &[&x], |state| {
            state.count()?;
            state.check_list(state.scope.get(&x)?.elem_count() as u64)?;
            state.on_host_time(|state| Ok(state.scope.get(&x)?.to_list()?))
        })
    }

    fn drop(&mut self, x: Resource<Handle>) -> wasmtime::Result<()> {
        self.scope.drop(&x);
        Ok(())
    }
}

impl Host for State {
    fn from_list(&mut self, values: Vec<f64>, shape: Vec<u64>, dtype: Dtype) -> Result<Resource<Handle>> {
        self.check_list(values.len() as u64)?;
        self.operate("from_list", &[], |_| Ok(swift_tensor::from_list(&values, &shape, host_dtype(dtype))?))
    }

    fn full(&mut self, value: f64, shape: Vec<u64>, dtype: Dtype) -> Result<Resource<Handle>> {
        self.operate("full", &[], |_| Ok(swift_tensor::full(value, &shape, host_dtype(dtype))?))
    }

    fn arange(&mut self, count: u64) -> Result<Resource<Handle>> {
        self.operate("arange", &[], |_| Ok(swift_tensor::arange(count)?))
    }

    fn uniform(&mut self, low: f64, high: f64, shape: Vec<u64>, dtype: Dtype) -> Result<Resource<Handle>> {
        self.draw("uniform", |seed| swift_tensor::uniform(low, high, &shape, host_dtype(dtype), seed))
    }

    fn normal(
        &mut self,
        mean: f64,
        deviation: f64,
        shape: Vec<u64>,
        dtype: Dtype,
    ) -> Result<Resource<Handle>> {
        self.draw("normal", |seed| swift_tensor::normal(mean, deviation, &shape, host_dtype(dtype), seed))
    }

    fn cat(&mut self, tensors: Vec<Resource<Handle>>, dim: i32) -> Result<Resource<Handle>> {
        self.many("cat", tensors, |tensors| swift_tensor::cat(tensors, dim))
    }

    fn stack(&mut self, tensors: Vec<Resource<Handle>>, dim: i32) -> Result<Resource<Handle>> {
        self.many("stack", tensors, |tensors| swift_tensor::stack(tensors, dim))
    }

    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<Error> {
        self.told(failure)
    }
}

fn host_dtype(dtype: Dtype) -> DType {
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

fn contract_dtype(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F64 => Dtype::Float64,
        DType::F32 => Dtype::Float32,
        DType::BF16 => Dtype::Bfloat16,
        DType::F16 => Dtype::Float16,
        DType::I64 => Dtype::Int64,
        DType::U32 => Dtype::Uint32,
        DType::U8 => Dtype::Uint8,
        _ => return None,
    })
}
