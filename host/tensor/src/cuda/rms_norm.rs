use candle_core::Tensor as Value;
use swift_kernels::rms_norm::RmsNorm;
use swift_kernels_cuda::{RMS_NORM_BACKWARD, RMS_NORM_FORWARD, RmsNormBackward, RmsNormForward};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use super::{column_sums, contiguous, wide};
use crate::Result;

const OP: &str = "rms_norm";

/// The normalised rows, and what is kept of each for the way back.
pub(crate) fn rms_norm_forward(x: &Value, weight: &Value, norm: &RmsNorm) -> Result<[Value; 2]> {
    let (device, dtype) = (x.device(), x.dtype());
    let at = Operands { op: OP, device, dtype };
    let (x, weight) = (contiguous(x)?, contiguous(weight)?);
    let rows = x.elem_count() / norm.width;
    let mut y = Buffer::new(OP, device, dtype, x.elem_count())?;
    let mut rstd = Buffer::new(OP, device, wide(dtype), rows)?;
    let arguments = RmsNormForward {
        x: at.stored(&x)?,
        weight: at.stored(&weight)?,
        y: y.address()?,
        rstd: rstd.address()?,
        width: norm.width as i64,
        epsilon: norm.epsilon,
        offset: norm.offset,
    };
    launch(OP, device, (RMS_NORM_FORWARD, dtype), Grid::blocks(rows, 1), &arguments)?;
    Ok([y.into_value(x.dims()), rstd.into_value(&[rows])])
}

/// The gradients of `x` and `weight` that are wanted.
pub(crate) fn rms_norm_backward(
    dy: &Value,
    [x, weight, rstd]: [&Value; 3],
    norm: &RmsNorm,
    wanted: [bool; 2],
) -> Result<[Option<Value>; 2]> {
    let (device, dtype) = (x.device(), x.dtype());
    let at = Operands { op: OP, device, dtype };
    let (dy, x, weight) = (dy.contiguous()?, x.contiguous()?, weight.contiguous()?);
    let [want_x, want_weight] = wanted;
    let dx = if want_x {
        let mut dx = Buffer::new(OP, device, dtype, x.elem_count())?;
        let arguments = RmsNormBackward {
            dy: at.stored(&dy)?,
            x: at.stored(&x)?,
            weight: at.stored(&weight)?,
            rstd: at.wide(rstd)?,
            dx: dx.address()?,
            width: norm.width as i64,
            offset: norm.offset,
        };
        launch(OP, device, (RMS_NORM_BACKWARD, dtype), Grid::blocks(rstd.elem_count(), 1), &arguments)?;
        Some(dx.into_value(x.dims()))
    } else {
        None
    };
    let dweight = if want_weight { Some(column_sums(OP, &dy, norm.width, Some((&x, rstd)))?) } else { None };
    Ok([dx, dweight])
}
