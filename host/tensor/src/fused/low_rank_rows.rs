use candle_core::{Tensor as Value, WithDType};
use swift_kernels::{Float, low_rank};

use crate::storage::{Real, make, on_device, read, with_real};
use crate::tape::record;
use crate::{Error, Result, Tensor};

/// A low-rank addition to the layer that some neighbouring rows go through (Hu et al. 2021, "LoRA").
#[derive(Clone, Debug)]
pub struct LowRankRows {
    /// The first row.
    pub start: usize,
    /// Rows; there may be none.
    pub count: usize,
    /// `[rank, in]`.
    pub a: Tensor,
    /// `[out, rank]`.
    pub b: Tensor,
    /// The factor.
    pub scale: f64,
}

const OP: &str = "low_rank_rows";

/// `y` with `scale * x A^T B^T` added to the rows of each part: `x` `[rows, in]`, `y` `[rows, out]`. Parts don't overlap.
///
/// # Errors
/// If shapes don't fit.
pub fn low_rank_rows(y: &Tensor, x: &Tensor, parts: &[LowRankRows]) -> Result<Tensor> {
    let (&[rows, outputs], &[x_rows, inputs]) = (y.dims(), x.dims()) else {
        return Err(Error::shapes(OP, x.dims(), y.dims()));
    };
    for part in parts {
        let (a, b) = (part.a.dims(), part.b.dims());
        let fits = matches!((a, b), (&[rank, width], &[height, low])
            if rank == low && rank > 0 && width == inputs && height == outputs);
        if !fits || x_rows != rows || part.start.saturating_add(part.count) > rows {
            return Err(Error::shapes(OP, a, b));
        }
    }
    on_device!(OP, x.value().device(),
        cpu: on_cpu(y, x, parts),
        cuda: composed(y, x, parts),
    )
}

fn on_cpu(y: &Tensor, x: &Tensor, parts: &[LowRankRows]) -> Result<Tensor> {
    let ((rows, outputs), inputs) = (y.value().dims2()?, x.value().dim(1)?);
    let mut operands = vec![y, x];
    operands.extend(parts.iter().flat_map(|part| [&part.a, &part.b]));
    let x_value = x.value().contiguous()?;
    with_real!(OP, x.dtype(), T => {
        let mut sum: Vec<T> = read::<T, _>(y.value(), |y| Ok(y.to_vec()))?;
        let parts = parts.iter().map(|part| Part::<T>::new(part, &x_value, &mut sum)).collect::<Result<Vec<_>>>()?;
        record(OP, make(sum, &[rows, outputs])?, &operands, move |dy, wanted| {
            let want_x = wanted.get(1) == Some(&true);
            let mut dx = want_x.then(|| crate::storage::zeros::<T>(rows * inputs));
            let mut results = vec![Some(dy.clone()), None];
            for part in parts {
                results.extend(part.backward(dy, &x_value, dx.as_deref_mut())?);
            }
            let dx = dx.map(|dx| make(dx, &[rows, inputs])).transpose()?;
            if let Some(place) = results.get_mut(1) {
                *place = dx;
            }
            Ok(results)
        })
    })
}

/// The same of operations that every device has: the rows between parts as they are, and those of each part with its addition. The
/// matrices are multiplied in the type of the input.
#[cfg(any(feature = "cuda", feature = "emulation"))]
fn composed(y: &Tensor, x: &Tensor, parts: &[LowRankRows]) -> Result<Tensor> {
    let mut sorted: Vec<&LowRankRows> = parts.iter().collect();
    sorted.sort_by_key(|part| (part.start, part.count));
    let (mut pieces, mut next) = (Vec::new(), 0);
    for part in sorted {
        let (start, count) = (part.start, part.count);
        if start > next {
            pieces.push(y.narrow(0, next as u64, (start - next) as u64)?);
        }
        let x = x.narrow(0, start as u64, count as u64)?;
        let [a, b] = [&part.a, &part.b].map(|matrix| matrix.cast(x.dtype())?.transpose(0, 1));
        let addition = x.matmul(&a?)?.scale(part.scale)?.matmul(&b?)?;
        pieces.push(y.narrow(0, start as u64, count as u64)?.add(&addition)?);
        next = next.max(start + count);
    }
    let rows = y.dims().first().copied().unwrap_or_default();
    if rows > next {
        pieces.push(y.narrow(0, next as u64, (rows - next) as u64)?);
    }
    crate::cat(&pieces.iter().collect::<Vec<_>>(), 0)
}

/// What a part keeps for the way back, in the precision that `T` computes in.
struct Part<T: Real> {
    start: usize,
    count: usize,
    rank: usize,
    /// `A`, `[rank, in]`.
    a: Vec<T::Compute>,
    /// `B^T`, `[rank, out]`.
    b: Vec<T::Compute>,
    dtypes: [candle_core::DType; 2],
    sizes: [usize; 2],
    /// `scale * x A^T`, `[count, rank]`.
    low: Vec<T::Compute>,
    scale: T::Compute,
}

impl<T: Real<Compute: WithDType>> Part<T> {
    fn new(part: &LowRankRows, x: &Value, y: &mut [T]) -> Result<Self> {
        let compute = <T::Compute as WithDType>::DTYPE;
        let (rank, inputs) = part.a.value().dims2()?;
        let outputs = part.b.value().dim(0)?;
        let a: Vec<T::Compute> = read(&part.a.value().to_dtype(compute)?, |a| Ok(a.to_vec()))?;
        let b = read(&part.b.value().to_dtype(compute)?, |b| Ok(low_rank::transposed(b, rank)))?;
        let scale = T::Compute::of(part.scale);
        let mut low = vec![T::Compute::ZERO; part.count * rank];
        let this = |width: usize| part.start * width..(part.start + part.count) * width;
        if part.count > 0 {
            read::<T, _>(x, |x| {
                let x = x.get(this(inputs)).unwrap_or_default();
                Ok(low_rank::project(x, &a, (rank, inputs), scale, None, &mut low)?)
            })?;
            low_rank::expand(&low, &b, (rank, outputs), None, y.get_mut(this(outputs)).unwrap_or_default())?;
        }
        let dtypes = [part.a.dtype(), part.b.dtype()];
        let LowRankRows { start, count, .. } = *part;
        Ok(Self { start, count, rank, a, b, dtypes, sizes: [inputs, outputs], low, scale })
    }

    /// Gradients of `A` and `B`, zero without rows; that of the input is added to `dx`.
    fn backward(self, dy: &Value, x: &Value, dx: Option<&mut [T]>) -> Result<[Option<Value>; 2]> {
        let ([inputs, outputs], rank) = (self.sizes, self.rank);
        let this = |width: usize| self.start * width..(self.start + self.count) * width;
        let zeros = |count| vec![T::Compute::ZERO; count];
        let (mut da, mut db) = (zeros(rank * inputs), zeros(rank * outputs));
        if self.count > 0 {
            let mut dlow = zeros(self.count * rank);
            read::<T, _>(dy, |dy| {
                let dy = dy.get(this(outputs)).unwrap_or_default();
                low_rank::contract(&self.low, dy, (rank, outputs), None, &mut db)?;
                Ok(low_rank::project(dy, &self.b, (rank, outputs), self.scale, None, &mut dlow)?)
            })?;
            read::<T, _>(x, |x| {
                let x = x.get(this(inputs)).unwrap_or_default();
                Ok(low_rank::contract(&dlow, x, (rank, inputs), None, &mut da)?)
            })?;
            if let Some(dx) = dx.and_then(|dx| dx.get_mut(this(inputs))) {
                low_rank::expand(&dlow, &self.a, (rank, inputs), None, dx)?;
            }
        }
        let db = make(low_rank::transposed(&db, outputs), &[outputs, rank])?;
        let da = make(da, &[rank, inputs])?;
        let [a_dtype, b_dtype] = self.dtypes;
        Ok([Some(da.to_dtype(a_dtype)?), Some(db.to_dtype(b_dtype)?)])
    }
}
