//! Operations that move elements about.

use candle_core::{DType, Tensor as Value};

use super::reduce::sum_keep;
use crate::storage::{on_device, reshaped};
use crate::tape::{record, record_constant};
use crate::{Error, Result, Tensor, checks};

/// Sums a gradient down to the shape that was broadcast to it.
pub(crate) fn reduce_to(gradient: &Value, dims: &[usize]) -> Result<Value> {
    if gradient.dims() == dims {
        return Ok(gradient.clone());
    }
    let added = gradient.rank().saturating_sub(dims.len());
    let summed: Vec<usize> = gradient
        .dims()
        .iter()
        .enumerate()
        .filter(|&(i, &size)| i < added || (size != 1 && dims.get(i - added) == Some(&1)))
        .map(|(i, _)| i)
        .collect();
    Ok(sum_keep(gradient, &summed)?.reshape(dims)?)
}

impl Tensor {
    /// The same elements in another shape; one size may be -1.
    ///
    /// # Errors
    /// If the number of elements is not the same.
    pub fn reshape(&self, shape: &[i64]) -> Result<Self> {
        let shape = resolve(self, shape)?;
        let back = self.dims().to_vec();
        record("reshape", reshaped(self.value(), &shape)?, &[self], move |gradient, _| {
            Ok(vec![Some(gradient.reshape(back)?)])
        })
    }

    /// Exchanges two dimensions.
    ///
    /// # Errors
    /// If a dimension does not exist.
    pub fn transpose(&self, first: i32, second: i32) -> Result<Self> {
        let first = checks::dim("transpose", self.value(), first)?;
        let second = checks::dim("transpose", self.value(), second)?;
        record("transpose", self.value().transpose(first, second)?, &[self], move |gradient, _| {
            Ok(vec![Some(gradient.transpose(first, second)?)])
        })
    }

    /// `length` slices along `dim` from `start` on.
    ///
    /// # Errors
    /// If the range exceeds the dimension.
    pub fn narrow(&self, dim: i32, start: u64, length: u64) -> Result<Self> {
        let dim = checks::dim("narrow", self.value(), dim)?;
        let size = self.dims().get(dim).copied().unwrap_or_default();
        let end = start.checked_add(length).filter(|&end| end <= size as u64);
        let Some(end) = end else {
            return Err(Error::invalid("narrow", format!("{length} slices from {start} on of {size}")));
        };
        let (before, after) = (start as usize, size - end as usize);
        record("narrow", self.value().narrow(dim, before, length as usize)?, &[self], move |gradient, _| {
            Ok(vec![Some(gradient.pad_with_zeros(dim, before, after)?)])
        })
    }

    /// Repeats dimensions of size one until the shape is `shape`.
    ///
    /// # Errors
    /// If the shape does not broadcast to `shape`.
    pub fn broadcast_to(&self, shape: &[u64]) -> Result<Self> {
        let shape = checks::shape("broadcast_to", shape)?;
        if checks::broadcast("broadcast_to", self.dims(), &shape)? != shape {
            return Err(Error::shapes("broadcast_to", self.dims(), &shape));
        }
        let back = self.dims().to_vec();
        record("broadcast_to", self.value().broadcast_as(shape)?, &[self], move |gradient, _| {
            Ok(vec![Some(reduce_to(gradient, &back)?)])
        })
    }

    /// Converts to another element type; differentiable between floating-point types.
    ///
    /// # Errors
    /// If candle can't convert between the two.
    pub fn cast(&self, to: DType) -> Result<Self> {
        let from = self.dtype();
        let y = on_device!("cast", self.value().device(),
            cpu: Ok::<_, Error>(self.value().to_dtype(to)?),
            cuda: crate::cuda::converted("cast", self.value(), to),
        )?;
        if !(from.is_float() && to.is_float()) {
            return record_constant("cast", y, &[self]);
        }
        record("cast", y, &[self], move |gradient, _| Ok(vec![Some(gradient.to_dtype(from)?)]))
    }

    /// Where the mask (this tensor, `uint8`) is not zero `on_true`, elsewhere `on_false`; all three broadcast.
    ///
    /// # Errors
    /// If the mask is not `uint8`, or the element types of the branches differ.
    pub fn choose(&self, on_true: &Self, on_false: &Self) -> Result<Self> {
        const OP: &str = "choose";
        checks::want_dtype(OP, self.value(), DType::U8)?;
        checks::same_dtype(OP, on_true, on_false)?;
        let shape = checks::broadcast(OP, on_true.dims(), on_false.dims())?;
        let shape = checks::broadcast(OP, self.dims(), &shape)?;
        let spread = |tensor: &Self| tensor.value().broadcast_as(shape.as_slice())?.contiguous();
        let mask = spread(self)?;
        let y = mask.where_cond(&spread(on_true)?, &spread(on_false)?)?;
        let (a, b) = (on_true.dims().to_vec(), on_false.dims().to_vec());
        record(OP, y, &[on_true, on_false], move |gradient, _| {
            let (gradient, zero) = (gradient.contiguous()?, gradient.zeros_like()?);
            Ok(vec![
                Some(reduce_to(&mask.where_cond(&gradient, &zero)?, &a)?),
                Some(reduce_to(&mask.where_cond(&zero, &gradient)?, &b)?),
            ])
        })
    }
}

fn resolve(tensor: &Tensor, shape: &[i64]) -> Result<Vec<usize>> {
    const OP: &str = "reshape";
    let wrong = || Error::invalid(OP, format!("{:?} does not fit into {shape:?}", tensor.dims()));
    let known: i64 = shape
        .iter()
        .filter(|&&size| size >= 0)
        .try_fold(1i64, |n, &size| n.checked_mul(size))
        .ok_or_else(wrong)?;
    let count = tensor.elem_count() as i64;
    let open = shape.iter().filter(|&&size| size < 0).count();
    let rest = match open {
        0 if known == count => 1,
        1 if known > 0 && count % known == 0 => count / known,
        _ => return Err(wrong()),
    };
    if shape.iter().any(|&size| size < -1) {
        return Err(wrong());
    }
    Ok(shape.iter().map(|&size| if size < 0 { rest as usize } else { size as usize }).collect())
}

/// Joins along an existing dimension.
///
/// # Errors
/// If there is nothing to join, or shapes differ elsewhere, or element types differ.
pub fn cat(tensors: &[&Tensor], dim: i32) -> Result<Tensor> {
    join("cat", tensors, dim)
}

fn join(op: &'static str, tensors: &[&Tensor], dim: i32) -> Result<Tensor> {
    let Some(first) = tensors.first() else { return Err(Error::invalid(op, "nothing to join")) };
    let dim = checks::dim(op, first.value(), dim)?;
    let mut total = 0;
    for tensor in tensors {
        checks::same_dtype(op, first, tensor)?;
        let fits = tensor.dims().len() == first.dims().len()
            && tensor.dims().iter().zip(first.dims()).enumerate().all(|(i, (a, b))| i == dim || a == b);
        if !fits {
            return Err(Error::shapes(op, first.dims(), tensor.dims()));
        }
        total += tensor.dims().get(dim).copied().unwrap_or_default();
    }
    let shape: Vec<usize> =
        first.dims().iter().enumerate().map(|(i, &size)| if i == dim { total } else { size }).collect();
    checks::admit(op, &shape)?;
    let values: Vec<Value> = tensors.iter().map(|tensor| tensor.value().clone()).collect();
    let joined = on_device!(op, first.value().device(),
        cpu: {
            let values = values.iter().map(Value::contiguous).collect::<candle_core::Result<Vec<_>>>()?;
            Ok::<_, Error>(Value::cat(&values, dim)?)
        },
        cuda: crate::cuda::cat(op, &values, dim),
    )?;
    let sizes: Vec<usize> = values.iter().filter_map(|value| value.dims().get(dim).copied()).collect();
    record(op, joined, tensors, move |gradient, wanted| {
        let mut start = 0;
        sizes
            .iter()
            .zip(wanted)
            .map(|(&size, &wanted)| {
                let piece =
                    if wanted { Some(gradient.narrow(dim, start, size)?.contiguous()?) } else { None };
                start += size;
                Ok(piece)
            })
            .collect()
    })
}

/// Joins along a new dimension.
///
/// # Errors
/// If there is nothing to join, or shapes or element types differ.
pub fn stack(tensors: &[&Tensor], dim: i32) -> Result<Tensor> {
    const OP: &str = "stack";
    let Some(first) = tensors.first() else { return Err(Error::invalid(OP, "nothing to join")) };
    let rank = first.dims().len() as i64 + 1;
    let at = if dim < 0 { i64::from(dim) + rank } else { dim.into() };
    if !(0..rank).contains(&at) {
        return Err(Error::invalid(OP, format!("dimension {dim} of a tensor of {rank} dimensions")));
    }
    let shape = |tensor: &Tensor| {
        let mut shape: Vec<i64> = tensor.dims().iter().map(|&size| size as i64).collect();
        shape.insert(at as usize, 1);
        shape
    };
    let spread = tensors.iter().map(|tensor| tensor.reshape(&shape(tensor))).collect::<Result<Vec<_>>>()?;
    join(OP, &spread.iter().collect::<Vec<_>>(), at as i32)
}
