use candle_core::{DType, Tensor as Value};
use rayon::prelude::*;
use swift_kernels::{Element, Float as _};

use crate::storage::{make, on_device, read, with_real};
use crate::{Error, Result};

const OP: &str = "row_norms";

/// A low-rank addition to a weight: `scale * b a`, with `a` `[rank, in]` and `b` `[out, rank]`.
#[derive(Clone, Copy, Debug)]
pub struct Addition<'a> {
    /// `[rank, in]`.
    pub a: &'a Value,
    /// `[out, rank]`.
    pub b: &'a Value,
    /// The factor on their product.
    pub scale: f64,
}

/// The Euclidean norms `[out]` of the rows of `weight` `[out, in]` plus `addition`, in `float64`. They are formed in it a row at a
/// time, so that the sum of the matrices never exists.
///
/// # Errors
/// If shapes don't fit, or the weight is not of a floating-point type.
pub fn row_norms(weight: &Value, addition: Option<&Addition<'_>>) -> Result<Value> {
    let (rows, width) = weight.dims2()?;
    let (mut rank, mut scale) = (0, 1.0);
    let (mut a, mut b) = (None, None);
    if let Some(addition) = addition {
        (rank, scale) = (addition.a.dim(0)?, addition.scale);
        if addition.a.dims() != [rank, width] || addition.b.dims() != [rows, rank] {
            return Err(Error::shapes(OP, addition.a.dims(), addition.b.dims()));
        }
        let wide = |value: &Value| value.to_dtype(DType::F64)?.contiguous();
        (a, b) = (Some(wide(addition.a)?), Some(wide(addition.b)?));
    }
    let low_rank = LowRankPart { a: a.as_ref(), b: b.as_ref(), rank, scale };
    on_device!(OP, weight.device(),
        cpu: on_cpu(weight, &low_rank),
        cuda: crate::cuda::row_norms(weight, &low_rank),
    )
}

/// What is added, in `float64` and without gaps.
pub(crate) struct LowRankPart<'a> {
    pub(crate) a: Option<&'a Value>,
    pub(crate) b: Option<&'a Value>,
    pub(crate) rank: usize,
    pub(crate) scale: f64,
}

fn on_cpu(weight: &Value, low_rank: &LowRankPart<'_>) -> Result<Value> {
    let (rows, width) = weight.dims2()?;
    let elements = |value: Option<&Value>| match value {
        Some(value) => read::<f64, _>(value, |elements| Ok(elements.to_vec())),
        None => Ok(Vec::new()),
    };
    let (a, mut b) = (elements(low_rank.a)?, elements(low_rank.b)?);
    b.iter_mut().for_each(|b| *b *= low_rank.scale);
    with_real!(OP, weight.dtype(), T => read::<T, _>(weight, |weight| {
        make(norms(weight, width, (&a, &b, low_rank.rank)), &[rows])
    }))
}

fn norms<T: Element>(weight: &[T], width: usize, (a, b, rank): (&[f64], &[f64], usize)) -> Vec<f64> {
    let norm = |(row, weight): (usize, &[T])| {
        let mut sum: Vec<f64> = weight.iter().map(|w| w.load().widen()).collect();
        let factors = b.get(row * rank..(row + 1) * rank).unwrap_or_default();
        for (&factor, a) in factors.iter().zip(a.chunks_exact(width.max(1))) {
            sum.iter_mut().zip(a).for_each(|(sum, a)| *sum += factor * a);
        }
        sum.iter().map(|x| x * x).sum::<f64>().sqrt()
    };
    weight.par_chunks(width.max(1)).enumerate().map(norm).collect()
}
