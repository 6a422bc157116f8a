use candle_core::{DType, Device, Tensor as Value};
use swift_kernels_cuda::{Kernel, UNARY_BACKWARD, UNARY_FORWARD, Unary};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use super::{contiguous, with_number};
use crate::{Error, Result};

/// The operations, in the order of the kernel's table.
const OPERATIONS: [&str; 20] = [
    "neg",
    "abs",
    "exp",
    "log",
    "sqrt",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "log_sigmoid",
    "softplus",
    "relu",
    "gelu",
    "gelu_tanh",
    "silu",
    "pow",
    "clamp",
    "scale",
    "add_scalar",
    "full",
];

/// The function `op` of each element. Some have numbers of their own.
pub(crate) fn unary_forward(op: &'static str, numbers: [f64; 2], x: &Value) -> Result<Value> {
    let x = contiguous(x)?;
    run(op, UNARY_FORWARD, numbers, [&x, &x, &x])
}

/// `dy` times the derivative of `op`, which gave `y` from `x`.
pub(crate) fn unary_backward(op: &'static str, numbers: [f64; 2], [x, y, dy]: [&Value; 3]) -> Result<Value> {
    let [x, y, dy] = [x.contiguous()?, y.contiguous()?, dy.contiguous()?];
    run(op, UNARY_BACKWARD, numbers, [&x, &y, &dy])
}

/// A value of this shape with one number in all places, rounded to a floating-point type.
pub(crate) fn full(device: &Device, dtype: DType, number: f64, shape: &[usize]) -> Result<Value> {
    // What is there is not looked at.
    let room = Buffer::new("full", device, dtype, shape.iter().product())?.into_value(shape);
    with_number("full", &room, number)
}

fn run(
    op: &'static str,
    kernel: Kernel<Unary>,
    [first, second]: [f64; 2],
    operands: [&Value; 3],
) -> Result<Value> {
    let [x, y, dy] = operands;
    let Some(operation) = OPERATIONS.iter().position(|name| *name == op) else {
        return Err(Error::no_body(op, x.device()));
    };
    let (device, count) = (x.device(), x.elem_count());
    let at = Operands { op, device, dtype: x.dtype() };
    let mut result = Buffer::new(op, device, x.dtype(), count)?;
    let arguments = Unary {
        x: at.stored(x)?,
        y: at.stored(y)?,
        dy: at.stored(dy)?,
        result: result.address()?,
        count: count as i64,
        operation: operation as i64,
        first,
        second,
    };
    launch(op, device, (kernel, x.dtype()), Grid::elements(count), &arguments)?;
    Ok(result.into_value(x.dims()))
}
