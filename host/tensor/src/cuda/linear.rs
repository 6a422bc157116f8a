//! Linear layers. The matrices of an adapter are multiplied in the element type of the input, as mixed precision has it, and their
//! gradients are summed in the wide one.

use candle_core::{DType, Tensor as Value};
use swift_kernels::float8::Format::{self, E4M3, E5M2};

use super::buffer::Buffer;
use super::{column_sums, converted, multiply, multiply_float8, product, sum, wide, with_number};
use crate::Result;
use crate::fused::{Back, Gradients, Linear, LowRank, Wanted, Weight, drop_elements};

const OP: &str = "linear";

/// The result for `x` `[rows, in]`, or zeros where it `is_left_out`, and the way back.
pub(crate) fn linear(x: &Value, layer: &Linear, is_left_out: bool) -> Result<(Value, Back)> {
    let weight = layer.weight.clone();
    let rows = x.dim(0)?;
    let outputs = weight.dims().first().copied().unwrap_or_default();
    let (y, branch) = if is_left_out {
        let branch = layer.adapter.as_ref().map(|adapter| Branch::new(x, adapter)).transpose()?;
        (Value::zeros((rows, outputs), x.dtype(), x.device())?, branch)
    } else {
        let mut y = Buffer::new(OP, x.device(), x.dtype(), rows * outputs)?;
        of_weight(&weight, (x, E4M3, false), (&elements(&weight, x)?, E4M3, true), &mut y)?;
        let branch = layer.adapter.as_ref().map(|adapter| Branch::new(x, adapter)).transpose()?;
        if let Some(Branch { low, b, .. }) = &branch {
            multiply(OP, (low, false), (b, true), (&mut y, 0), true)?;
        }
        let y = y.into_value(&[rows, outputs]);
        (layer.bias.as_ref().map_or(Ok(y.clone()), |bias| sum(OP, &y, bias.value()))?, branch)
    };
    // The input is only kept for what needs it: the gradients of trained matrices.
    let kept = weight.requires_grad().then(|| x.clone());
    let back: Back = Box::new(move |dy, wanted| {
        let mut gradients = match branch {
            Some(branch) => branch.backward(dy, wanted)?,
            None => Gradients::default(),
        };
        if wanted.x {
            let dx = new_of_weight(&weight, (dy, E5M2, false), (&elements(&weight, dy)?, E4M3, false))?;
            gradients.x = Some(match gradients.x {
                Some(branch) => (dx + branch)?,
                None => dx,
            });
        }
        if let (true, Some(x)) = (wanted.weight, kept) {
            gradients.weight = Some(new_of_weight(&weight, (dy, E5M2, true), (&x, E4M3, false))?);
        }
        if wanted.bias {
            gradients.bias = Some(column_sums(OP, dy, outputs, None)?.to_dtype(dy.dtype())?);
        }
        Ok(gradients)
    });
    Ok((y, back))
}

/// Writes `op(a) op(b)` as `weight` wants its products taken.
fn of_weight(
    weight: &Weight,
    a: (&Value, Format, bool),
    b: (&Value, Format, bool),
    c: &mut Buffer,
) -> Result<()> {
    match weight {
        Weight::Float8(_) => multiply_float8(OP, a, b, c),
        Weight::Dense(_) | Weight::Quantised(_) => multiply(OP, (a.0, a.2), (b.0, b.2), (c, 0), false),
    }
}

/// The same in a new value.
fn new_of_weight(weight: &Weight, a: (&Value, Format, bool), b: (&Value, Format, bool)) -> Result<Value> {
    let shape = [a.0.dim(usize::from(a.2))?, b.0.dim(usize::from(!b.2))?];
    let mut c = Buffer::new(OP, a.0.device(), a.0.dtype(), shape.iter().product())?;
    of_weight(weight, a, b, &mut c)?;
    Ok(c.into_value(&shape))
}

/// The matrix of a weight, in the type of `like`. A quantised one is decoded as a whole for each product.
fn elements(weight: &Weight, like: &Value) -> Result<Value> {
    match weight {
        Weight::Dense(weight) | Weight::Float8(weight) => Ok(weight.value().clone()),
        Weight::Quantised(weight) => weight.decoded(like.dtype()),
    }
}

/// What the low-rank branch keeps for the way back.
struct Branch {
    x: Value,
    /// `scale * dropout(x) A^T`, `[rows, rank]`.
    low: Value,
    /// The matrices in the type of the input.
    a: Value,
    b: Value,
    dtypes: [DType; 2],
    adapter: LowRank,
}

impl Branch {
    fn new(x: &Value, adapter: &LowRank) -> Result<Self> {
        let (a, b) = (adapter.a.value(), adapter.b.value());
        let dtypes = [a.dtype(), b.dtype()];
        let (a, b) = (converted(OP, a, x.dtype())?, converted(OP, b, x.dtype())?);
        let dropped = drop_elements(x, adapter.dropout)?;
        let low = with_number("scale", &product(OP, (&dropped, false), (&a, true))?, adapter.scale)?;
        Ok(Self { x: x.clone(), low, a, b, dtypes, adapter: adapter.clone() })
    }

    /// The gradients of `A` and `B`, and the part of the input's that goes through here.
    fn backward(self, dy: &Value, wanted: Wanted) -> Result<Gradients> {
        let Self { x, low, a, b, dtypes: [a_dtype, b_dtype], adapter } = self;
        let mut gradients = Gradients::default();
        if wanted.b {
            gradients.b = Some(wide_product(dy, &low, b_dtype)?);
        }
        if !wanted.x && !wanted.a {
            return Ok(gradients);
        }
        let dlow = product(OP, (dy, false), (&b, false))?.affine(adapter.scale, 0.0)?;
        if wanted.a {
            gradients.a = Some(wide_product(&dlow, &drop_elements(&x, adapter.dropout)?, a_dtype)?);
        }
        if wanted.x {
            let dx = product(OP, (&dlow, false), (&a, false))?;
            gradients.x = Some(drop_elements(&dx, adapter.dropout)?);
        }
        Ok(gradients)
    }
}

/// `left^T right`, summed in the wide type and then given in `dtype`.
fn wide_product(left: &Value, right: &Value, dtype: DType) -> Result<Value> {
    let shape = [left.dim(1)?, right.dim(1)?];
    let mut sums = Buffer::new(OP, left.device(), wide(left.dtype()), shape.iter().product())?;
    multiply(OP, (left, true), (right, false), (&mut sums, 0), false)?;
    Ok(sums.into_value(&shape).to_dtype(dtype)?)
}
