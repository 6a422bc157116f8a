use candle_core::{DType, Tensor as Value};

use crate::ops::product;
use crate::storage::{make, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

/// Random zeroing of inputs (Srivastava et al. 2014). Which elements are dropped follows from the seed alone, so a segment
/// that is computed again drops the same ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Share of the elements that become zero, in `0 .. 1`; the others grow by `1 / (1 - rate)`.
    pub rate: f64,
    /// Seed of this application.
    pub seed: u64,
}

/// A low-rank addition to a weight: `scale * B A` (Hu et al. 2021, "LoRA").
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `[rank, in]`.
    pub a: Tensor,
    /// `[out, rank]`.
    pub b: Tensor,
    /// The factor, `alpha / rank` in the paper.
    pub scale: f64,
    /// Dropout on the input of this branch.
    pub dropout: Option<Dropout>,
}

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Tensor,
    /// `[out]`.
    pub bias: Option<Tensor>,
    /// An adapter. Its matrices may be of another floating-point type than the weight.
    pub adapter: Option<LowRank>,
}

/// `x W^T + b + scale * (dropout(x) A^T) B^T`: `[.., in]` to `[.., out]`.
///
/// Frozen parts (constants) take no part in the way back: with `W` frozen the gradient is
/// `dx = dy W + scale * (dy B) A`, and no `dW` is formed.
///
/// # Errors
/// If shapes don't fit.
pub fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor> {
    const OP: &str = "linear";
    let wrong = || Error::shapes(OP, x.dims(), layer.weight.dims());
    let (&width, lead) = x.dims().split_last().ok_or_else(wrong)?;
    let &[outputs, inputs] = layer.weight.dims() else { return Err(wrong()) };
    if width != inputs {
        return Err(wrong());
    }
    checks::same_dtype(OP, x, &layer.weight)?;
    let rows: usize = lead.iter().product();
    checks::admit(OP, &[rows, outputs])?;
    let flat = x.value().reshape((rows, inputs))?;
    let mut y = product(&flat, false, layer.weight.value(), true)?;
    if let Some(bias) = &layer.bias {
        if bias.dims() != [outputs] {
            return Err(Error::shapes(OP, layer.weight.dims(), bias.dims()));
        }
        y = y.broadcast_add(bias.value())?;
    }
    let branch = layer.adapter.as_ref().map(|adapter| Branch::new(&flat, adapter, outputs)).transpose()?;
    if let Some(branch) = &branch {
        y = (y + branch.forward()?)?;
    }
    let shape_y = [lead, &[outputs]].concat();
    let shape_x = x.dims().to_vec();
    let weight = layer.weight.value().clone();
    let mut operands = vec![x, &layer.weight];
    operands.extend(&layer.bias);
    operands.extend(layer.adapter.iter().flat_map(|adapter| [&adapter.a, &adapter.b]));
    let has_bias = layer.bias.is_some();
    // The input is only kept for what needs it: the gradients of trained matrices.
    let kept = layer.weight.requires_grad().then(|| flat.clone());
    let bias_dtype = layer.bias.as_ref().map_or(DType::F32, Tensor::dtype);
    record(OP, y.reshape(shape_y)?, &operands, move |gradient, wanted| {
        let dy = gradient.reshape((rows, outputs))?;
        let mut wanted = wanted.iter().copied();
        let mut want = || wanted.next().unwrap_or(false);
        let (want_x, want_weight) = (want(), want());
        let mut dx = if want_x { Some(product(&dy, false, &weight, false)?) } else { None };
        let dweight = match (&kept, want_weight) {
            (Some(x), true) => Some(product(&dy, true, x, false)?),
            _ => None,
        };
        let mut results = Vec::with_capacity(5);
        if has_bias {
            results.push(if want() { Some(column_sums(&dy, bias_dtype)?) } else { None });
        }
        if let Some(branch) = branch {
            let (da, db, dx_branch) = branch.backward(&dy, want_x, want(), want())?;
            if let Some(addition) = dx_branch {
                dx = dx.map(|dx| dx + addition).transpose()?;
            }
            results.extend([da, db]);
        }
        let dx = dx.map(|dx| dx.reshape(shape_x)).transpose()?;
        Ok([vec![dx, dweight], results].concat())
    })
}

fn column_sums(dy: &Value, dtype: DType) -> Result<Value> {
    let wide = if dy.dtype() == DType::BF16 { dy.to_dtype(DType::F32)? } else { dy.clone() };
    Ok(wide.sum(0)?.to_dtype(dtype)?)
}

/// What the adapter's branch keeps between the ways there and back.
struct Branch {
    x: Value,
    a: Value,
    b: Value,
    dtypes: (DType, DType),
    /// `x A^T`, `[rows, rank]`.
    low: Value,
    scale: f64,
    dropout: Option<Dropout>,
}

impl Branch {
    fn new(x: &Value, adapter: &LowRank, outputs: usize) -> Result<Self> {
        let (a, b) = (adapter.a.value(), adapter.b.value());
        let fits =
            a.rank() == 2 && b.rank() == 2 && a.dim(1)? == x.dim(1)? && b.dims() == [outputs, a.dim(0)?];
        if !fits {
            return Err(Error::shapes("linear", a.dims(), b.dims()));
        }
        let dtypes = (a.dtype(), b.dtype());
        let (a, b) = (a.to_dtype(x.dtype())?, b.to_dtype(x.dtype())?);
        let dropped = drop_elements(x, adapter.dropout)?;
        let low = product(&dropped, false, &a, true)?;
        Ok(Self { x: x.clone(), a, b, dtypes, low, scale: adapter.scale, dropout: adapter.dropout })
    }

    fn forward(&self) -> Result<Value> {
        Ok(product(&self.low, false, &self.b, true)?.affine(self.scale, 0.0)?)
    }

    /// Gradients of `A`, `B` and the input.
    fn backward(
        self,
        dy: &Value,
        want_x: bool,
        want_a: bool,
        want_b: bool,
    ) -> Result<(Option<Value>, Option<Value>, Option<Value>)> {
        let db = if want_b {
            Some(product(dy, true, &self.low, false)?.affine(self.scale, 0.0)?.to_dtype(self.dtypes.1)?)
        } else {
            None
        };
        if !(want_x || want_a) {
            return Ok((None, db, None));
        }
        let dlow = product(dy, false, &self.b, false)?.affine(self.scale, 0.0)?;
        let da = if want_a {
            let dropped = drop_elements(&self.x, self.dropout)?;
            Some(product(&dlow, true, &dropped, false)?.to_dtype(self.dtypes.0)?)
        } else {
            None
        };
        let dx = if want_x {
            Some(drop_elements(&product(&dlow, false, &self.a, false)?, self.dropout)?)
        } else {
            None
        };
        Ok((da, db, dx))
    }
}

/// `x` with elements dropped; its own transpose, since it is a multiplication by a diagonal matrix.
fn drop_elements(x: &Value, dropout: Option<Dropout>) -> Result<Value> {
    use crate::ops::Math;
    use rayon::prelude::*;
    let Some(Dropout { rate, seed }) = dropout.filter(|dropout| dropout.rate > 0.0) else {
        return Ok(x.clone());
    };
    const CHUNK: usize = 1 << 14;
    with_real!("dropout", x.dtype(), T => read::<T, _>(x, |elements| {
        let grow = <<T as swift_kernels::Element>::Compute as Math>::constant(1.0 / (1.0 - rate));
        let mut y = zeros::<T>(elements.len());
        y.par_chunks_mut(CHUNK).zip(elements.par_chunks(CHUNK)).enumerate().for_each(|(chunk, (y, x))| {
            for ((y, x), i) in y.iter_mut().zip(x).zip((chunk * CHUNK) as u64..) {
                if crate::ops::unit(seed, i) >= rate {
                    *y = <T as swift_kernels::Element>::store(swift_kernels::Element::load(*x) * grow);
                }
            }
        });
        make(y, x.dims())
    }))
}

/// Random zeroing of elements.
///
/// # Errors
/// If the rate is not in `0 .. 1`.
pub fn dropout(x: &Tensor, dropout: Dropout) -> Result<Tensor> {
    if !(0.0..1.0).contains(&dropout.rate) {
        return Err(Error::invalid("dropout", format!("rate {} is not in 0..1", dropout.rate)));
    }
    record("dropout", drop_elements(x.value(), Some(dropout))?, &[x], move |gradient, _| {
        Ok(vec![Some(drop_elements(gradient, Some(dropout))?)])
    })
}
