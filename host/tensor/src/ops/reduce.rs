//! Operations that go along dimensions.

use candle_core::{DType, Tensor as Value};

use super::Real;
use crate::storage::{make, on_device, read, wide, with_real, zeros};
use crate::tape::{record, record_constant};
use crate::{Error, Result, Tensor, checks};

/// What is of 16 bits as `float32`; everything else as it is.
fn widened(value: &Value) -> Result<Value> {
    Ok(value.to_dtype(wide(value.dtype()))?)
}

/// Sum over `dims`, which stay with size one.
pub(crate) fn sum_keep(value: &Value, dims: &[usize]) -> Result<Value> {
    Ok(widened(value)?.sum_keepdim(dims)?.to_dtype(value.dtype())?)
}

fn without(value: Value, dims: &[usize], keep: bool) -> Result<Value> {
    if keep {
        return Ok(value);
    }
    let shape: Vec<usize> =
        value.dims().iter().enumerate().filter(|(i, _)| !dims.contains(i)).map(|(_, &size)| size).collect();
    Ok(value.reshape(shape)?)
}

/// The shape with `dims` at size one.
fn kept_shape(value: &Value, dims: &[usize]) -> Vec<usize> {
    value.dims().iter().enumerate().map(|(i, &size)| if dims.contains(&i) { 1 } else { size }).collect()
}

impl Tensor {
    /// Sum over `dims`; over everything when `dims` is empty.
    ///
    /// # Errors
    /// If a dimension does not exist or is named twice.
    pub fn sum(&self, dims: &[i32], keep: bool) -> Result<Self> {
        let dims = checks::dims("sum", self.value(), dims)?;
        let y = without(sum_keep(self.value(), &dims)?, &dims, keep)?;
        let (shape, kept) = (self.dims().to_vec(), kept_shape(self.value(), &dims));
        record("sum", y, &[self], move |gradient, _| {
            Ok(vec![Some(gradient.reshape(kept)?.broadcast_as(shape)?.contiguous()?)])
        })
    }

    /// Mean over `dims`; over everything when `dims` is empty. The mean of nothing is NaN.
    ///
    /// # Errors
    /// If a dimension does not exist or is named twice, or the element type is not a floating-point one.
    pub fn mean(&self, dims: &[i32], keep: bool) -> Result<Self> {
        checks::want_float("mean", self.value())?;
        let dims = checks::dims("mean", self.value(), dims)?;
        let count: usize = dims.iter().filter_map(|&d| self.dims().get(d)).product();
        let wide = widened(self.value())?.sum_keepdim(dims.as_slice())?;
        let y = without(wide.affine(1.0 / count as f64, 0.0)?.to_dtype(self.dtype())?, &dims, keep)?;
        let (shape, kept) = (self.dims().to_vec(), kept_shape(self.value(), &dims));
        record("mean", y, &[self], move |gradient, _| {
            let share = gradient.affine(1.0 / count as f64, 0.0)?;
            Ok(vec![Some(share.reshape(kept)?.broadcast_as(shape)?.contiguous()?)])
        })
    }

    /// Largest element along `dim`; ties share the gradient equally.
    ///
    /// # Errors
    /// If the dimension does not exist or is empty.
    pub fn max(&self, dim: i32, keep: bool) -> Result<Self> {
        self.extreme("max", dim, keep, Value::max_keepdim)
    }

    /// Smallest element along `dim`; ties share the gradient equally.
    ///
    /// # Errors
    /// If the dimension does not exist or is empty.
    pub fn min(&self, dim: i32, keep: bool) -> Result<Self> {
        self.extreme("min", dim, keep, Value::min_keepdim)
    }

    fn extreme(
        &self,
        op: &'static str,
        dim: i32,
        keep: bool,
        f: impl FnOnce(&Value, usize) -> candle_core::Result<Value>,
    ) -> Result<Self> {
        let dim = self.filled_dim(op, dim)?;
        let x = self.value().contiguous()?;
        let kept = f(&x, dim)?;
        record(op, without(kept.clone(), &[dim], keep)?, &[self], move |gradient, _| {
            let taken = x.broadcast_eq(&kept)?.to_dtype(gradient.dtype())?;
            let share = (gradient.reshape(kept.shape())? / sum_keep(&taken, &[dim])?)?;
            Ok(vec![Some(taken.broadcast_mul(&share)?)])
        })
    }

    /// A dimension with at least one element.
    fn filled_dim(&self, op: &'static str, dim: i32) -> Result<usize> {
        let dim = checks::dim(op, self.value(), dim)?;
        if self.dims().get(dim) == Some(&0) {
            return Err(Error::invalid(op, format!("dimension {dim} is empty")));
        }
        Ok(dim)
    }

    /// `log(sum(e^x))` along `dim`, without overflow.
    ///
    /// # Errors
    /// If the dimension does not exist or is empty, or the element type is not a floating-point one.
    pub fn logsumexp(&self, dim: i32, keep: bool) -> Result<Self> {
        let (dim, dtype) = (self.float_dim("logsumexp", dim)?, self.dtype());
        let x = widened(self.value())?;
        let kept = log_sum_exp(&x, dim)?;
        let y = without(kept.to_dtype(dtype)?, &[dim], keep)?;
        record("logsumexp", y, &[self], move |gradient, _| {
            let share = gradient.to_dtype(x.dtype())?.reshape(kept.shape())?;
            let probabilities = x.broadcast_sub(&kept)?.exp()?;
            Ok(vec![Some(probabilities.broadcast_mul(&share)?.to_dtype(dtype)?)])
        })
    }

    /// `e^x / sum(e^x)` along `dim`.
    ///
    /// # Errors
    /// If the dimension does not exist or is empty, or the element type is not a floating-point one.
    pub fn softmax(&self, dim: i32) -> Result<Self> {
        let (dim, dtype) = (self.float_dim("softmax", dim)?, self.dtype());
        let x = widened(self.value())?;
        let y = x.broadcast_sub(&log_sum_exp(&x, dim)?)?.exp()?;
        record("softmax", y.to_dtype(dtype)?, &[self], move |gradient, _| {
            let gradient = gradient.to_dtype(y.dtype())?;
            let inner = sum_keep(&(&gradient * &y)?, &[dim])?;
            Ok(vec![Some((gradient.broadcast_sub(&inner)? * &y)?.to_dtype(dtype)?)])
        })
    }

    /// Logarithm of `softmax` along `dim`.
    ///
    /// # Errors
    /// If the dimension does not exist or is empty, or the element type is not a floating-point one.
    pub fn log_softmax(&self, dim: i32) -> Result<Self> {
        let (dim, dtype) = (self.float_dim("log_softmax", dim)?, self.dtype());
        let x = widened(self.value())?;
        let y = x.broadcast_sub(&log_sum_exp(&x, dim)?)?;
        record("log_softmax", y.to_dtype(dtype)?, &[self], move |gradient, _| {
            let gradient = gradient.to_dtype(y.dtype())?;
            let total = sum_keep(&gradient, &[dim])?;
            Ok(vec![Some((&gradient - y.exp()?.broadcast_mul(&total)?)?.to_dtype(dtype)?)])
        })
    }

    fn float_dim(&self, op: &'static str, dim: i32) -> Result<usize> {
        checks::want_float(op, self.value())?;
        self.filled_dim(op, dim)
    }

    /// Running sum along `dim`.
    ///
    /// # Errors
    /// If the dimension does not exist or the element type is not a floating-point one.
    pub fn cumsum(&self, dim: i32) -> Result<Self> {
        let dim = checks::dim("cumsum", self.value(), dim)?;
        let y = running_sum(self.value(), dim, false)?;
        record("cumsum", y, &[self], move |gradient, _| Ok(vec![Some(running_sum(gradient, dim, true)?)]))
    }

    /// Index of the largest element along `dim`, the first of several; `int64`, not differentiable.
    ///
    /// # Errors
    /// If the dimension does not exist or is empty.
    pub fn argmax(&self, dim: i32, keep: bool) -> Result<Self> {
        let dim = self.filled_dim("argmax", dim)?;
        let (outer, length, inner) = checks::around(self.value(), dim);
        let shape = kept_shape(self.value(), &[dim]);
        let kept = on_device!("argmax", self.value().device(), cpu: read::<f64, _>(&self.value().to_dtype(DType::F64)?, |x| {
            let mut indices = vec![0i64; outer * inner];
            for (block, found) in
                x.chunks_exact((length * inner).max(1)).zip(indices.chunks_exact_mut(inner.max(1)))
            {
                let mut best: Vec<f64> = block.iter().take(inner).copied().collect();
                for (i, row) in block.chunks_exact(inner).enumerate().skip(1) {
                    for ((x, best), found) in row.iter().zip(&mut best).zip(found.iter_mut()) {
                        if x > best {
                            (*best, *found) = (*x, i as i64);
                        }
                    }
                }
            }
            make(indices, &shape)
        }), cuda: crate::cuda::first_greatest(self.value(), dim, &shape))?;
        record_constant("argmax", without(kept, &[dim], keep)?, &[self])
    }
}

/// `log(sum(e^x))` along `dim`, which stays with size one.
fn log_sum_exp(x: &Value, dim: usize) -> Result<Value> {
    let largest = x.contiguous()?.max_keepdim(dim)?;
    // Where all elements are -inf, subtracting the largest would give NaN.
    let finite = largest.maximum(f64::from(f32::MIN))?.minimum(f64::from(f32::MAX))?;
    Ok((sum_keep(&x.broadcast_sub(&finite)?.exp()?, &[dim])?.log()? + finite)?)
}

fn running_sum(value: &Value, dim: usize, backwards: bool) -> Result<Value> {
    fn go<T: Real>(value: &Value, dim: usize, backwards: bool) -> Result<Value> {
        let (_, length, inner) = checks::around(value, dim);
        read::<T, _>(value, |x| {
            let mut y = zeros::<T>(x.len());
            let block = (length * inner).max(1);
            for (x, y) in x.chunks_exact(block).zip(y.chunks_exact_mut(block)) {
                let mut totals = vec![<T::Compute as num_traits::Zero>::zero(); inner];
                let mut step = |(x, y): (&[T], &mut [T])| {
                    for ((x, y), total) in x.iter().zip(y).zip(&mut totals) {
                        *total += x.load();
                        *y = T::store(*total);
                    }
                };
                let rows = x.chunks_exact(inner.max(1)).zip(y.chunks_exact_mut(inner.max(1)));
                if backwards { rows.rev().for_each(&mut step) } else { rows.for_each(&mut step) }
            }
            make(y, value.dims())
        })
    }
    on_device!("cumsum", value.device(),
        cpu: with_real!("cumsum", value.dtype(), T => go::<T>(value, dim, backwards)),
        cuda: crate::cuda::running_sum(value, dim, backwards),
    )
}
