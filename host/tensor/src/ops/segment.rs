//! Sums and means over runs or groups of rows.

use candle_core::{DType, Tensor as Value};
use swift_kernels::segment;

use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

impl Tensor {
    /// Sums values `[n, ..]` into `[count, ..]` by `segments` `[n]` (`int64`, each below `count`).
    ///
    /// # Errors
    /// If there is not one segment for each value, or one is not below `count`.
    pub fn segment_sum(&self, segments: &Self, count: u64) -> Result<Self> {
        self.segment("segment_sum", segments, count, false)
    }

    /// As [`Tensor::segment_sum`], divided by the size of each segment; an empty segment gives zero.
    ///
    /// # Errors
    /// As [`Tensor::segment_sum`].
    pub fn segment_mean(&self, segments: &Self, count: u64) -> Result<Self> {
        self.segment("segment_mean", segments, count, true)
    }

    fn segment(&self, op: &'static str, segments: &Self, count: u64, mean: bool) -> Result<Self> {
        checks::want_dtype(op, segments.value(), DType::I64)?;
        let Some((&rows, rest)) = self.dims().split_first() else {
            return Err(Error::shapes(op, self.dims(), segments.dims()));
        };
        if segments.dims() != [rows] {
            return Err(Error::shapes(op, self.dims(), segments.dims()));
        }
        let sizes: Vec<u64> = std::iter::once(count).chain(rest.iter().map(|&size| size as u64)).collect();
        let shape = checks::shape(op, &sizes)?;
        let width = rest.iter().product();
        let segments = checks::indices(op, segments.value(), shape.first().copied().unwrap_or_default())?;
        let work = Segments { op, segments, width, mean };
        let y = on_device!(op, self.value().device(),
            cpu: work.reduce(self.value(), &shape),
            cuda: work.reduce_on_device(self.value(), &shape),
        )?;
        let back = self.dims().to_vec();
        record(op, y, &[self], move |gradient, _| {
            let dx = on_device!(op, gradient.device(),
                cpu: work.spread(gradient, &back),
                cuda: work.spread_on_device(gradient, &back),
            )?;
            Ok(vec![Some(dx)])
        })
    }
}

/// A reduction, whose arguments have been checked.
struct Segments {
    op: &'static str,
    segments: Vec<i64>,
    /// Elements of a row.
    width: usize,
    mean: bool,
}

impl Segments {
    fn reduce(&self, x: &Value, shape: &[usize]) -> Result<Value> {
        let &Self { op, ref segments, width, mean } = self;
        with_real!(op, x.dtype(), T => read::<T, _>(x, |x| {
            let mut y = zeros::<T>(shape.iter().product());
            match (width, mean) {
                (0, _) => {}
                (_, true) => segment::mean(x, segments, width, &mut y)?,
                (_, false) => segment::sum(x, segments, width, &mut y)?,
            }
            make(y, shape)
        }))
    }

    fn spread(&self, dy: &Value, shape: &[usize]) -> Result<Value> {
        let &Self { op, ref segments, width, mean } = self;
        with_real!(op, dy.dtype(), T => read::<T, _>(dy, |dy| {
            let mut dx = zeros::<T>(shape.iter().product());
            match (width, mean) {
                (0, _) => {}
                (_, true) => segment::mean_backward(dy, segments, width, &mut dx)?,
                (_, false) => segment::sum_backward(dy, segments, width, &mut dx)?,
            }
            make(dx, shape)
        }))
    }
}

#[cfg(any(feature = "cuda", feature = "emulation"))]
impl Segments {
    fn reduce_on_device(&self, x: &Value, shape: &[usize]) -> Result<Value> {
        let count = shape.first().copied().unwrap_or_default();
        let sums = crate::cuda::group_sums(self.op, x, self.width, (&self.segments, count), self.mean)?;
        Ok(sums.reshape(shape)?)
    }

    /// Each row gets the gradient of its segment, or its share of it.
    fn spread_on_device(&self, dy: &Value, shape: &[usize]) -> Result<Value> {
        if shape.contains(&0) {
            return Ok(Value::zeros(shape, dy.dtype(), dy.device())?);
        }
        let (count, rows, device) = (dy.dim(0)?, self.segments.len(), dy.device());
        let mut dy = dy.reshape((count, self.width))?;
        if self.mean {
            let mut sizes = vec![0f64; count];
            for &segment in &self.segments {
                if let Some(size) = sizes.get_mut(segment as usize) {
                    *size += 1.0;
                }
            }
            // An empty segment has no rows that would ask for its share.
            let shares: Vec<f64> = sizes.iter().map(|size| 1.0 / size.max(1.0)).collect();
            let shares = Value::from_vec(shares, (count, 1), device)?.to_dtype(dy.dtype())?;
            dy = dy.broadcast_mul(&shares)?;
        }
        let index = Value::from_slice(&self.segments, rows, device)?;
        Ok(dy.contiguous()?.index_select(&index, 0)?.reshape(shape)?)
    }
}
