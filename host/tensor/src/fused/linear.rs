use candle_core::{DType, Tensor as Value, WithDType};
pub use swift_kernels::Dropout;
use swift_kernels::float8::Format::{E4M3, E5M2};
use swift_kernels::float8::{self, Operand};
use swift_kernels::{elementwise, low_rank, matmul, quantised};

use super::Weight;
use crate::storage::{Real, make, on_device, read, reshaped, wide, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks, unread};

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
    pub weight: Weight,
    /// `[out]`.
    pub bias: Option<Tensor>,
    /// An adapter. Its matrices may be of another floating-point type than the weight.
    pub adapter: Option<LowRank>,
}

/// `x W^T + b + scale * (dropout(x) A^T) B^T`: `[.., in]` to `[.., out]`.
///
/// Frozen parts (constants, quantised weights) take no part in the way back: with `W` frozen the gradient is
/// `dx = dy W + scale * (dy B) A`, and no `dW` is formed.
///
/// # Errors
/// If shapes don't fit.
pub fn linear(x: &Tensor, layer: &Linear) -> Result<Tensor> {
    const OP: &str = "linear";
    let wrong = || Error::shapes(OP, x.dims(), &layer.weight.dims());
    let (&width, lead) = x.dims().split_last().ok_or_else(wrong)?;
    let &[outputs, inputs] = layer.weight.dims().as_slice() else { return Err(wrong()) };
    if width != inputs {
        return Err(wrong());
    }
    layer.weight.as_tensor().map_or(Ok(()), |weight| checks::same_dtype(OP, x, weight))?;
    let rows: usize = lead.iter().product();
    checks::admit(OP, &[rows, outputs])?;
    let flat = reshaped(x.value(), &[rows, inputs])?;
    if let Some(bias) = layer.bias.as_ref().filter(|bias| bias.dims() != [outputs]) {
        return Err(Error::shapes(OP, &layer.weight.dims(), bias.dims()));
    }
    layer.bias.as_ref().map_or(Ok(()), |bias| checks::same_dtype(OP, x, bias))?;
    if let Some(LowRank { a, b, .. }) = &layer.adapter {
        let fits = matches!((a.dims(), b.dims()), (&[rank, width], &[height, low])
            if rank == low && width == inputs && height == outputs);
        if !fits {
            return Err(Error::shapes(OP, a.dims(), b.dims()));
        }
    }
    let shape_y = [lead, &[outputs]].concat();
    let shape_x = x.dims().to_vec();
    let mut operands = vec![x];
    operands.extend(layer.weight.as_tensor());
    operands.extend(&layer.bias);
    operands.extend(layer.adapter.iter().flat_map(|adapter| [&adapter.a, &adapter.b]));
    let there = Present {
        weight: layer.weight.as_tensor().is_some(),
        bias: layer.bias.is_some(),
        adapter: layer.adapter.is_some(),
    };
    let is_left_out = unread::is_left_out(OP);
    let (y, back) = on_device!(OP, flat.device(),
        cpu: with_real!(OP, x.dtype(), T => forward::<T>(&flat, layer, outputs, is_left_out)),
        cuda: crate::cuda::linear(&flat, layer, is_left_out),
    )?;
    record(OP, y.reshape(shape_y)?, &operands, move |gradient, wanted| {
        let dy = gradient.reshape((rows, outputs))?;
        let mut wanted = wanted.iter().copied();
        let mut want = |there: bool| there && wanted.next().unwrap_or(false);
        let wanted = Wanted {
            x: want(true),
            weight: want(there.weight),
            bias: want(there.bias),
            a: want(there.adapter),
            b: want(there.adapter),
        };
        let Gradients { x, weight, bias, a, b } = back(&dy, wanted)?;
        let x = x.map(|dx| dx.reshape(shape_x)).transpose()?;
        let parts =
            [(true, x), (there.weight, weight), (there.bias, bias), (there.adapter, a), (there.adapter, b)];
        Ok(parts.into_iter().filter(|(there, _)| *there).map(|(_, gradient)| gradient).collect())
    })
}

/// Which operands the operation has, besides its input.
struct Present {
    weight: bool,
    bias: bool,
    adapter: bool,
}

/// Which operands want a gradient.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) x: bool,
    pub(crate) weight: bool,
    pub(crate) bias: bool,
    pub(crate) a: bool,
    pub(crate) b: bool,
}

/// The gradients of those that want one; that of the input is `[rows, in]`.
#[derive(Default)]
pub(crate) struct Gradients {
    pub(crate) x: Option<Value>,
    pub(crate) weight: Option<Value>,
    pub(crate) bias: Option<Value>,
    pub(crate) a: Option<Value>,
    pub(crate) b: Option<Value>,
}

/// The way back, from the gradient `[rows, out]` of the result.
pub(crate) type Back = Box<dyn FnOnce(&Value, Wanted) -> Result<Gradients> + Send>;

/// The result for `x` `[rows, in]`, or zeros where it `is_left_out`, and the way back.
fn forward<T: Real<Compute: WithDType>>(
    x: &Value,
    layer: &Linear,
    outputs: usize,
    is_left_out: bool,
) -> Result<(Value, Back)> {
    let (rows, inputs) = x.dims2()?;
    let mut y = match is_left_out {
        true => zeros::<T>(rows * outputs),
        false => base::<T>(x, &layer.weight, outputs, layer.bias.as_ref().map(Tensor::value))?,
    };
    let branch = layer.adapter.as_ref().map(|adapter| Branch::<T>::new(x, adapter)).transpose()?;
    if let Some(branch) = branch.as_ref().filter(|_| !is_left_out) {
        low_rank::expand(&branch.low, &branch.b, (branch.rank, outputs), None, &mut y)?;
    }
    let weight = layer.weight.clone();
    // The input is only kept for what needs it: the gradients of trained matrices.
    let kept = weight.requires_grad().then(|| x.clone());
    let back: Back = Box::new(move |dy, wanted| {
        let mut dx = if wanted.x { Some(input_gradient::<T>(dy, &weight, inputs)?) } else { None };
        let weight = match &kept {
            Some(x) if wanted.weight => Some(weight_gradient::<T>(dy, x, &weight)?),
            _ => None,
        };
        let bias = if wanted.bias { Some(column_sums(dy, T::DTYPE)?) } else { None };
        let [a, b] = match branch {
            Some(branch) => branch.backward(dy, dx.as_deref_mut(), wanted.a, wanted.b)?,
            None => [None, None],
        };
        let x = dx.map(|dx| make(dx, &[rows, inputs])).transpose()?;
        Ok(Gradients { x, weight, bias, a, b })
    });
    Ok((make(y, &[rows, outputs])?, back))
}

/// `x W^T + b`.
fn base<T: Real>(x: &Value, weight: &Weight, outputs: usize, bias: Option<&Value>) -> Result<Vec<T>> {
    let (rows, inputs) = x.dims2()?;
    let mut y = zeros::<T>(rows * outputs);
    if let Some(bias) = bias.filter(|_| outputs > 0) {
        read::<T, _>(bias, |bias| Ok(elementwise::repeat_row(bias, &mut y)?))?;
    }
    let add = bias.is_some();
    read::<T, _>(x, |x| match weight {
        Weight::Dense(dense) | Weight::Float8(dense) => read::<T, _>(dense.value(), |elements| {
            let x = Operand { elements: x, format: E4M3, transposed: false };
            let transposed = Operand { elements, format: E4M3, transposed: true };
            multiply(weight, x, transposed, &mut y, (rows, inputs, outputs), add)
        }),
        Weight::Quantised(weight) => Ok(quantised::forward(x, weight.host()?, rows, &mut y, add)?),
    })?;
    Ok(y)
}

/// `dy W`.
fn input_gradient<T: Real>(dy: &Value, weight: &Weight, inputs: usize) -> Result<Vec<T>> {
    let (rows, outputs) = dy.dims2()?;
    let mut dx = zeros::<T>(rows * inputs);
    read::<T, _>(dy, |dy| match weight {
        Weight::Dense(dense) | Weight::Float8(dense) => read::<T, _>(dense.value(), |elements| {
            let dy = Operand { elements: dy, format: E5M2, transposed: false };
            let plain = Operand { elements, format: E4M3, transposed: false };
            multiply(weight, dy, plain, &mut dx, (rows, outputs, inputs), false)
        }),
        Weight::Quantised(weight) => Ok(quantised::input_gradient(dy, weight.host()?, rows, &mut dx)?),
    })?;
    Ok(dx)
}

/// `dy^T x`.
fn weight_gradient<T: Real>(dy: &Value, x: &Value, weight: &Weight) -> Result<Value> {
    let ((rows, outputs), inputs) = (dy.dims2()?, x.dim(1)?);
    let mut gradient = zeros::<T>(outputs * inputs);
    read::<T, _>(dy, |dy| {
        read::<T, _>(x, |x| {
            let dy = Operand { elements: dy, format: E5M2, transposed: true };
            let x = Operand { elements: x, format: E4M3, transposed: false };
            multiply(weight, dy, x, &mut gradient, (outputs, rows, inputs), false)
        })
    })?;
    make(gradient, &[outputs, inputs])
}

/// `c = a b`, or `c += a b` if `accumulate`, as `weight` wants its products taken.
fn multiply<T: Real>(
    weight: &Weight,
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    c: &mut [T],
    (m, k, n): (usize, usize, usize),
    accumulate: bool,
) -> Result<()> {
    match weight {
        Weight::Float8(_) => float8::product(a, b, c, (m, k, n), accumulate)?,
        Weight::Dense(_) | Weight::Quantised(_) => {
            matmul::product(a.elements, b.elements, c, m, k, n, a.transposed, b.transposed, accumulate)?;
        }
    }
    Ok(())
}

fn column_sums(dy: &Value, dtype: DType) -> Result<Value> {
    Ok(dy.to_dtype(wide(dy.dtype()))?.sum(0)?.to_dtype(dtype)?)
}

/// What the adapter's branch keeps between the ways there and back. All that is of low rank is in the precision that `T`
/// computes in.
struct Branch<T: Real> {
    x: Value,
    /// `A`, `[rank, in]`.
    a: Vec<T::Compute>,
    /// `B^T`, `[rank, out]`.
    b: Vec<T::Compute>,
    dtypes: (DType, DType),
    rank: usize,
    /// `scale * dropout(x) A^T`, `[rows, rank]`.
    low: Vec<T::Compute>,
    scale: T::Compute,
    dropout: Option<Dropout>,
}

impl<T: Real<Compute: WithDType>> Branch<T> {
    fn new(x: &Value, adapter: &LowRank) -> Result<Self> {
        let (a, b) = (adapter.a.value(), adapter.b.value());
        let (dtypes, rank) = ((a.dtype(), b.dtype()), a.dim(0)?);
        let compute = <T::Compute as WithDType>::DTYPE;
        let a: Vec<T::Compute> = read(&a.to_dtype(compute)?, |a| Ok(a.to_vec()))?;
        let b = read(&b.to_dtype(compute)?, |b| Ok(low_rank::transposed(b, rank)))?;
        let scale = <T::Compute as swift_kernels::Float>::of(adapter.scale);
        let dropout = adapter.dropout.filter(|dropout| dropout.rate > 0.0);
        let (rows, inputs) = x.dims2()?;
        let mut low = vec![<T::Compute as swift_kernels::Float>::ZERO; rows * rank];
        read::<T, _>(x, |x| Ok(low_rank::project(x, &a, (rank, inputs), scale, dropout, &mut low)?))?;
        Ok(Self { x: x.clone(), a, b, dtypes, rank, low, scale, dropout })
    }

    /// Gradients of `A` and `B`; that of the input is added to `dx`.
    fn backward(
        self,
        dy: &Value,
        dx: Option<&mut [T]>,
        want_a: bool,
        want_b: bool,
    ) -> Result<[Option<Value>; 2]> {
        let ((rows, outputs), inputs, rank) = (dy.dims2()?, self.x.dim(1)?, self.rank);
        let zeros_of = |count| vec![<T::Compute as swift_kernels::Float>::ZERO; count];
        let db = if want_b {
            let mut db = zeros_of(rank * outputs);
            read::<T, _>(dy, |dy| Ok(low_rank::contract(&self.low, dy, (rank, outputs), None, &mut db)?))?;
            let db = low_rank::transposed(&db, outputs);
            Some(make(db, &[outputs, rank])?.to_dtype(self.dtypes.1)?)
        } else {
            None
        };
        if dx.is_none() && !want_a {
            return Ok([None, db]);
        }
        let mut dlow = zeros_of(rows * rank);
        read::<T, _>(dy, |dy| {
            Ok(low_rank::project(dy, &self.b, (rank, outputs), self.scale, None, &mut dlow)?)
        })?;
        let da = if want_a {
            let mut da = zeros_of(rank * inputs);
            read::<T, _>(&self.x, |x| {
                Ok(low_rank::contract(&dlow, x, (rank, inputs), self.dropout, &mut da)?)
            })?;
            Some(make(da, &[rank, inputs])?.to_dtype(self.dtypes.0)?)
        } else {
            None
        };
        if let Some(dx) = dx {
            low_rank::expand(&dlow, &self.a, (rank, inputs), self.dropout, dx)?;
        }
        Ok([da, db])
    }
}

/// `x` with elements dropped; its own transpose, since it is a multiplication by a diagonal matrix.
pub(crate) fn drop_elements(x: &Value, dropout: Option<Dropout>) -> Result<Value> {
    let Some(dropout) = dropout.filter(|dropout| dropout.rate > 0.0) else {
        return Ok(x.clone());
    };
    on_device!("dropout", x.device(),
        cpu: drop_on_cpu(x, dropout),
        cuda: crate::cuda::dropout(x, dropout.rate, dropout.seed),
    )
}

fn drop_on_cpu(x: &Value, dropout: Dropout) -> Result<Value> {
    with_real!("dropout", x.dtype(), T => read::<T, _>(x, |elements| {
        let mut y = zeros::<T>(elements.len());
        swift_kernels::dropout::forward(elements, dropout, &mut y)?;
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
