use candle_core::{DType, Tensor as Value, WithDType};
use swift_kernels::{elementwise, low_rank, matmul, quantised};

use super::Weight;
use crate::ops::product;
use crate::storage::{Real, make, read, with_real, zeros};
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
    let flat = x.value().reshape((rows, inputs))?;
    if let Some(bias) = layer.bias.as_ref().filter(|bias| bias.dims() != [outputs]) {
        return Err(Error::shapes(OP, &layer.weight.dims(), bias.dims()));
    }
    layer.bias.as_ref().map_or(Ok(()), |bias| checks::same_dtype(OP, x, bias))?;
    let bias = layer.bias.as_ref().map(Tensor::value);
    let weight = layer.weight.clone();
    let shape_y = [lead, &[outputs]].concat();
    let shape_x = x.dims().to_vec();
    let mut operands = vec![x];
    operands.extend(layer.weight.as_tensor());
    operands.extend(&layer.bias);
    operands.extend(layer.adapter.iter().flat_map(|adapter| [&adapter.a, &adapter.b]));
    let has_bias = layer.bias.is_some();
    // The input is only kept for what needs it: the gradients of trained matrices.
    let kept = layer.weight.requires_grad().then(|| flat.clone());
    with_real!(OP, x.dtype(), T => {
        let mut y = base::<T>(&flat, &layer.weight, outputs, bias)?;
        let branch = layer.adapter.as_ref().map(|adapter| Branch::<T>::new(&flat, adapter, outputs)).transpose()?;
        if let Some(branch) = &branch {
            low_rank::expand(&branch.low, &branch.b, (branch.rank, outputs), &mut y)?;
        }
        record(OP, make(y, &shape_y)?, &operands, move |gradient, wanted| {
            let dy = gradient.reshape((rows, outputs))?;
            let mut wanted = wanted.iter().copied();
            let mut want = || wanted.next().unwrap_or(false);
            let want_x = want();
            let want_weight = weight.as_tensor().map(|_| want());
            let mut dx = if want_x { Some(input_gradient::<T>(&dy, &weight, inputs)?) } else { None };
            let mut results = Vec::with_capacity(5);
            results.extend(want_weight.map(|want| match &kept {
                Some(x) if want => product(&dy, true, x, false).map(Some),
                _ => Ok(None),
            }).transpose()?);
            if has_bias {
                results.push(if want() { Some(column_sums(&dy, T::DTYPE)?) } else { None });
            }
            if let Some(branch) = branch {
                results.extend(branch.backward(&dy, dx.as_deref_mut(), want(), want())?);
            }
            let dx = dx.map(|dx| make(dx, &shape_x)).transpose()?;
            Ok([vec![dx], results].concat())
        })
    })
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
        Weight::Dense(weight) => read::<T, _>(weight.value(), |weight| {
            Ok(matmul::product(x, weight, &mut y, rows, inputs, outputs, false, true, add)?)
        }),
        Weight::Quantised(weight) => Ok(quantised::forward(x, weight, rows, &mut y, add)?),
    })?;
    Ok(y)
}

/// `dy W`.
fn input_gradient<T: Real>(dy: &Value, weight: &Weight, inputs: usize) -> Result<Vec<T>> {
    let (rows, outputs) = dy.dims2()?;
    let mut dx = zeros::<T>(rows * inputs);
    read::<T, _>(dy, |dy| match weight {
        Weight::Dense(weight) => read::<T, _>(weight.value(), |weight| {
            Ok(matmul::product(dy, weight, &mut dx, rows, outputs, inputs, false, false, false)?)
        }),
        Weight::Quantised(weight) => Ok(quantised::input_gradient(dy, weight, rows, &mut dx)?),
    })?;
    Ok(dx)
}

fn column_sums(dy: &Value, dtype: DType) -> Result<Value> {
    let wide = if dy.dtype() == DType::BF16 { dy.to_dtype(DType::F32)? } else { dy.clone() };
    Ok(wide.sum(0)?.to_dtype(dtype)?)
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
    fn new(x: &Value, adapter: &LowRank, outputs: usize) -> Result<Self> {
        let (a, b) = (adapter.a.value(), adapter.b.value());
        let fits =
            a.rank() == 2 && b.rank() == 2 && a.dim(1)? == x.dim(1)? && b.dims() == [outputs, a.dim(0)?];
        if !fits {
            return Err(Error::shapes("linear", a.dims(), b.dims()));
        }
        let (dtypes, rank) = ((a.dtype(), b.dtype()), a.dim(0)?);
        let compute = <T::Compute as WithDType>::DTYPE;
        let a: Vec<T::Compute> = read(&a.to_dtype(compute)?, |a| Ok(a.to_vec()))?;
        let b = read(&b.to_dtype(compute)?, |b| Ok(low_rank::transposed(b, rank)))?;
        let scale = <T::Compute as swift_kernels::Float>::of(adapter.scale);
        let dropped = drop_elements(x, adapter.dropout)?;
        let (rows, inputs) = x.dims2()?;
        let mut low = vec![<T::Compute as swift_kernels::Float>::ZERO; rows * rank];
        read::<T, _>(&dropped, |x| Ok(low_rank::project(x, &a, (rank, inputs), scale, &mut low)?))?;
        Ok(Self { x: x.clone(), a, b, dtypes, rank, low, scale, dropout: adapter.dropout })
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
            read::<T, _>(dy, |dy| Ok(low_rank::contract(&self.low, dy, (rank, outputs), &mut db)?))?;
            let db = low_rank::transposed(&db, outputs);
            Some(make(db, &[outputs, rank])?.to_dtype(self.dtypes.1)?)
        } else {
            None
        };
        if dx.is_none() && !want_a {
            return Ok([None, db]);
        }
        let mut dlow = zeros_of(rows * rank);
        read::<T, _>(dy, |dy| Ok(low_rank::project(dy, &self.b, (rank, outputs), self.scale, &mut dlow)?))?;
        let da = if want_a {
            let dropped = drop_elements(&self.x, self.dropout)?;
            let mut da = zeros_of(rank * inputs);
            read::<T, _>(&dropped, |x| Ok(low_rank::contract(&dlow, x, (rank, inputs), &mut da)?))?;
            Some(make(da, &[rank, inputs])?.to_dtype(self.dtypes.0)?)
        } else {
            None
        };
        match (dx, self.dropout.filter(|dropout| dropout.rate > 0.0)) {
            (None, _) => {}
            (Some(dx), None) => low_rank::expand(&dlow, &self.a, (rank, inputs), dx)?,
            (Some(dx), dropout) => {
                let mut branch = zeros::<T>(rows * inputs);
                low_rank::expand(&dlow, &self.a, (rank, inputs), &mut branch)?;
                let branch = drop_elements(&make(branch, &[rows, inputs])?, dropout)?;
                let others = dx.to_vec();
                read::<T, _>(&branch, |branch| Ok(elementwise::add(&others, branch, dx)?))?;
            }
        }
        Ok([da, db])
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
