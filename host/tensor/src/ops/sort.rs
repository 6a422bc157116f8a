//! Order along the last dimension.

use candle_core::DType;

use crate::storage::{make, on_device, read};
use crate::tape::record_constant;
use crate::{Error, Result, Tensor};

impl Tensor {
    /// Elements in order along the last dimension; equal elements keep their order, NaN counts as largest.
    ///
    /// # Errors
    /// If the tensor is a scalar.
    pub fn sort(&self, descending: bool) -> Result<Self> {
        // The gradient is that of `gather`: each goes back to where its element came from.
        self.gather(-1, &self.detach().argsort(descending)?)
    }

    /// The permutation that [`Tensor::sort`] applies; `int64`, not differentiable.
    ///
    /// # Errors
    /// If the tensor is a scalar.
    pub fn argsort(&self, descending: bool) -> Result<Self> {
        let Some(&length) = self.dims().last() else {
            return Err(Error::invalid("argsort", "a scalar has no last dimension"));
        };
        let order = on_device!("argsort", self.value().device(), cpu: read::<f64, _>(&self.value().to_dtype(DType::F64)?, |x| {
            let mut order = Vec::with_capacity(x.len());
            for row in x.chunks_exact(length.max(1)) {
                let mut ranked: Vec<(i64, f64)> = (0..).zip(row.iter().copied()).collect();
                ranked.sort_by(|a, b| if descending { b.1.total_cmp(&a.1) } else { a.1.total_cmp(&b.1) });
                order.extend(ranked.into_iter().map(|(i, _)| i));
            }
            make(order, self.dims())
        }), cuda: crate::cuda::order(self.value(), length.max(1), descending))?;
        record_constant("argsort", order, &[self])
    }
}
