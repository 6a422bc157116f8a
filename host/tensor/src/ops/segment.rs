//! Sums and means over runs or groups of rows.

use candle_core::DType;
use swift_kernels::segment;

use crate::storage::{make, read, with_real, zeros};
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
        let y = with_real!(op, self.dtype(), T => read::<T, _>(self.value(), |x| {
            let mut y = zeros::<T>(shape.iter().product());
            if width == 0 {
                return make(y, &shape);
            }
            if mean { segment::mean(x, &segments, width, &mut y)? } else { segment::sum(x, &segments, width, &mut y)? }
            make(y, &shape)
        }))?;
        let back = self.dims().to_vec();
        record(op, y, &[self], move |gradient, _| {
            let dx = with_real!(op, gradient.dtype(), T => read::<T, _>(gradient, |dy| {
                let mut dx = zeros::<T>(back.iter().product());
                if width == 0 {
                    return make(dx, &back);
                }
                if mean {
                    segment::mean_backward(dy, &segments, width, &mut dx)?;
                } else {
                    segment::sum_backward(dy, &segments, width, &mut dx)?;
                }
                make(dx, &back)
            }))?;
            Ok(vec![Some(dx)])
        })
    }
}
