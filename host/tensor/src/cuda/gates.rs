use candle_core::Tensor as Value;
use swift_kernels_cuda::{DROPOUT, Dropout, SWIGLU_BACKWARD, SWIGLU_FORWARD, SwigluBackward, SwigluForward};

use super::buffer::{Buffer, Operands};
use super::contiguous;
use super::launch::{Grid, launch};
use crate::{Error, Result};

const OP: &str = "swiglu";

pub(crate) fn swiglu_forward(gate: &Value, up: &Value) -> Result<Value> {
    let (device, dtype, count) = (gate.device(), gate.dtype(), gate.elem_count());
    let at = Operands { op: OP, device, dtype };
    let (gate, up) = (contiguous(gate)?, contiguous(up)?);
    let mut y = Buffer::new(OP, device, dtype, count)?;
    let arguments =
        SwigluForward { gate: at.stored(&gate)?, up: at.stored(&up)?, y: y.address()?, count: count as i64 };
    launch(OP, device, (SWIGLU_FORWARD, dtype), Grid::elements(count), &arguments)?;
    Ok(y.into_value(gate.dims()))
}

/// The gradients of the gate and of what it lets through.
pub(crate) fn swiglu_backward(dy: &Value, gate: &Value, up: &Value) -> Result<[Value; 2]> {
    let (device, dtype, count) = (gate.device(), gate.dtype(), gate.elem_count());
    let at = Operands { op: OP, device, dtype };
    let (dy, gate, up) = (dy.contiguous()?, gate.contiguous()?, up.contiguous()?);
    let mut dgate = Buffer::new(OP, device, dtype, count)?;
    let mut dup = Buffer::new(OP, device, dtype, count)?;
    let arguments = SwigluBackward {
        dy: at.stored(&dy)?,
        gate: at.stored(&gate)?,
        up: at.stored(&up)?,
        dgate: dgate.address()?,
        dup: dup.address()?,
        count: count as i64,
    };
    launch(OP, device, (SWIGLU_BACKWARD, dtype), Grid::elements(count), &arguments)?;
    Ok([dgate.into_value(gate.dims()), dup.into_value(gate.dims())])
}

/// `x` with elements dropped, which follow from the seed and their places alone.
pub(crate) fn dropout(x: &Value, rate: f64, seed: u64) -> Result<Value> {
    const OP: &str = "dropout";
    let (device, x) = (x.device(), x.contiguous()?);
    if !(0.0..1.0).contains(&rate) {
        return Err(Error::invalid(OP, format!("rate {rate} is not in 0..1")));
    }
    let at = Operands { op: OP, device, dtype: x.dtype() };
    let mut y = Buffer::new(OP, device, x.dtype(), x.elem_count())?;
    let arguments = Dropout { x: at.stored(&x)?, y: y.address()?, count: x.elem_count() as i64, seed, rate };
    launch(OP, device, (DROPOUT, x.dtype()), Grid::elements(x.elem_count()), &arguments)?;
    Ok(y.into_value(x.dims()))
}
