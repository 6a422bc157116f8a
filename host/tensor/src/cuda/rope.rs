use candle_core::Tensor as Value;
use swift_kernels::rope::RopeShape;
use swift_kernels_cuda::{ROPE, Rope};

use super::buffer::{Buffer, Operands};
use super::contiguous;
use super::launch::{Grid, launch};
use crate::Result;

/// `x` `[tokens, heads, head_dim]`, rotated by angles whose cosines and sines are `[tokens, pairs]`.
pub(crate) fn rotate(
    x: &Value,
    shape: &RopeShape,
    [cos, sin]: [&Value; 2],
    interleaved: bool,
    inverse: bool,
) -> Result<Value> {
    const OP: &str = "rope";
    let (device, x) = (x.device(), contiguous(x)?);
    let at = Operands { op: OP, device, dtype: x.dtype() };
    let mut y = Buffer::new(OP, device, x.dtype(), x.elem_count())?;
    let arguments = Rope {
        x: at.stored(&x)?,
        cos: at.wide(cos)?,
        sin: at.wide(sin)?,
        y: y.address()?,
        heads: shape.heads as i64,
        head_dim: shape.head_dim as i64,
        pairs: shape.pairs as i64,
        interleaved: interleaved.into(),
        inverse: inverse.into(),
    };
    launch(OP, device, (ROPE, x.dtype()), Grid::blocks(x.dim(0)?, 1), &arguments)?;
    Ok(y.into_value(x.dims()))
}
