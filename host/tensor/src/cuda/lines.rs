use candle_core::{DType, Tensor as Value};
use swift_kernels_cuda::{FIRST_GREATEST, Kernel, Line, ORDER, RUNNING_SUM};

use super::buffer::{Buffer, Operands};
use super::known;
use super::launch::{Grid, launch};
use crate::{Result, checks};

/// Running sums along a dimension, from its end on if `backwards`.
pub(crate) fn running_sum(x: &Value, dim: usize, backwards: bool) -> Result<Value> {
    let (outer, length, inner) = checks::around(x, dim);
    let sizes = Sizes { count: outer * inner, length, inner, flag: backwards };
    known("cumsum", x.dtype())?;
    run("cumsum", RUNNING_SUM, x, x.dtype(), x.dims(), sizes)
}

/// The place of the first of the greatest elements along a dimension, which stays with size one.
pub(crate) fn first_greatest(x: &Value, dim: usize, kept: &[usize]) -> Result<Value> {
    let (outer, length, inner) = checks::around(x, dim);
    let sizes = Sizes { count: outer * inner, length, inner, flag: false };
    run("argmax", FIRST_GREATEST, x, DType::I64, kept, sizes)
}

/// The permutation that puts the last dimension in order.
pub(crate) fn order(x: &Value, length: usize, descending: bool) -> Result<Value> {
    let sizes = Sizes { count: x.elem_count(), length, inner: 1, flag: descending };
    run("argsort", ORDER, x, DType::I64, x.dims(), sizes)
}

struct Sizes {
    count: usize,
    length: usize,
    inner: usize,
    flag: bool,
}

fn run(
    op: &'static str,
    kernel: Kernel<Line>,
    x: &Value,
    dtype: DType,
    shape: &[usize],
    sizes: Sizes,
) -> Result<Value> {
    let (device, x) = (x.device(), x.contiguous()?);
    // Integers have no kernels; as `float64` they keep their order up to 2^53.
    let x = if x.dtype().is_float() { x } else { x.to_dtype(DType::F64)? };
    let mut y = Buffer::new(op, device, dtype, shape.iter().product())?;
    let Sizes { count, length, inner, flag } = sizes;
    let at = Operands { op, device, dtype: x.dtype() };
    let arguments = Line {
        x: at.stored(&x)?,
        y: y.address()?,
        count: count as i64,
        length: length as i64,
        inner: inner as i64,
        flag: flag.into(),
    };
    launch(op, device, (kernel, x.dtype()), Grid::elements(count), &arguments)?;
    Ok(y.into_value(shape))
}
