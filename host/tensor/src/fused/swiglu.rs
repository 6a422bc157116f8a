use candle_core::Tensor as Value;
use swift_kernels::swiglu as kernel;

use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Result, Tensor, checks};

const OP: &str = "swiglu";

/// `silu(gate) * up` (Shazeer 2020). Keeps both inputs and computes the product again on the way back.
///
/// # Errors
/// If shapes or element types differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    checks::same_dtype(OP, gate, up)?;
    checks::same_shape(OP, gate.dims(), up.dims())?;
    let (gate_value, up_value) = (gate.value().clone(), up.value().clone());
    let y = on_device!(OP, gate_value.device(),
        cpu: forward(&gate_value, &up_value),
        cuda: crate::cuda::swiglu_forward(&gate_value, &up_value),
    )?;
    record(OP, y, &[gate, up], move |gradient, _| {
        let gradients = on_device!(OP, gate_value.device(),
            cpu: backward(gradient, &gate_value, &up_value),
            cuda: crate::cuda::swiglu_backward(gradient, &gate_value, &up_value),
        )?;
        Ok(gradients.map(Some).into())
    })
}

fn forward(gate: &Value, up: &Value) -> Result<Value> {
    with_real!(OP, gate.dtype(), T => read::<T, _>(gate, |elements| read::<T, _>(up, |up| {
        let mut y = zeros::<T>(elements.len());
        kernel::forward(elements, up, &mut y)?;
        make(y, gate.dims())
    })))
}

fn backward(dy: &Value, gate: &Value, up: &Value) -> Result<[Value; 2]> {
    let shape = gate.dims();
    with_real!(OP, gate.dtype(), T => read::<T, _>(dy, |dy| read::<T, _>(gate, |gate| read::<T, _>(up, |up| {
        let (mut dgate, mut dup) = (zeros::<T>(gate.len()), zeros::<T>(up.len()));
        kernel::backward(dy, gate, up, &mut dgate, &mut dup)?;
        Ok([make(dgate, shape)?, make(dup, shape)?])
    }))))
}
