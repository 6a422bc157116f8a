use swift_kernels::swiglu as kernel;

use crate::storage::{make, read, with_real, zeros};
use crate::tape::record;
use crate::{Result, Tensor, checks};

/// `silu(gate) * up` (Shazeer 2020). Keeps both inputs and computes the product again on the way back.
///
/// # Errors
/// If shapes or element types differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    const OP: &str = "swiglu";
    checks::same_dtype(OP, gate, up)?;
    checks::same_shape(OP, gate.dims(), up.dims())?;
    let shape = gate.dims().to_vec();
    let (gate_value, up_value) = (gate.value().clone(), up.value().clone());
    with_real!(OP, gate.dtype(), T => {
        let y = read::<T, _>(&gate_value, |gate| read::<T, _>(&up_value, |up| {
            let mut y = zeros::<T>(gate.len());
            kernel::forward(gate, up, &mut y)?;
            make(y, &shape)
        }))?;
        record(OP, y, &[gate, up], move |gradient, _| {
            read::<T, _>(gradient, |dy| read::<T, _>(&gate_value, |gate| read::<T, _>(&up_value, |up| {
                let (mut dgate, mut dup) = (zeros::<T>(gate.len()), zeros::<T>(up.len()));
                kernel::backward(dy, gate, up, &mut dgate, &mut dup)?;
                Ok(vec![Some(make(dgate, &shape)?), Some(make(dup, &shape)?)])
            })))
        })
    })
}
