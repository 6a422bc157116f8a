//! The matrix product.

use candle_core::Tensor as Value;

use super::reduce_to;
use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

/// `op(a) op(b)` of two matrices, each transposed or not.
fn product(a: &Value, transpose_a: bool, b: &Value, transpose_b: bool) -> Result<Value> {
    const OP: &str = "matmul";
    let (m, k) = if transpose_a { (a.dim(1)?, a.dim(0)?) } else { a.dims2()? };
    let (inner, n) = if transpose_b { (b.dim(1)?, b.dim(0)?) } else { b.dims2()? };
    if k != inner || a.dtype() != b.dtype() {
        return Err(Error::shapes(OP, a.dims(), b.dims()));
    }
    on_device!(OP, a.device(),
        cpu: with_real!(OP, a.dtype(), T => read::<T, _>(a, |a| read::<T, _>(b, |b| {
            let mut c = zeros::<T>(m * n);
            swift_kernels::matmul::product(a, b, &mut c, m, k, n, transpose_a, transpose_b, false)?;
            make(c, &[m, n])
        }))),
        cuda: crate::cuda::product(OP, (a, transpose_a), (b, transpose_b)),
    )
}

/// The product of stacks of matrices of one leading shape.
fn batched(a: &Value, transpose_a: bool, b: &Value, transpose_b: bool) -> Result<Value> {
    let lead = a.rank() - 2;
    if lead == 0 {
        return product(a, transpose_a, b, transpose_b);
    }
    let shape: Vec<usize> = a.dims().iter().take(lead).copied().collect();
    let (a, b) = (a.flatten_to(lead - 1)?, b.flatten_to(lead - 1)?);
    let products = (0..a.dim(0)?)
        .map(|i| product(&a.get(i)?, transpose_a, &b.get(i)?, transpose_b))
        .collect::<Result<Vec<_>>>()?;
    let Some(first) = products.first() else {
        let m = a.dim(if transpose_a { 2 } else { 1 })?;
        let n = b.dim(if transpose_b { 1 } else { 2 })?;
        return Ok(Value::zeros([shape, vec![m, n]].concat(), a.dtype(), a.device())?);
    };
    let shape = [shape, first.dims().to_vec()].concat();
    Ok(Value::stack(&products, 0)?.reshape(shape)?)
}

impl Tensor {
    /// Matrix product `[.., m, k] x [.., k, n]`; leading dimensions broadcast.
    ///
    /// # Errors
    /// If a side has fewer than two dimensions, shapes don't fit or element types differ.
    pub fn matmul(&self, rhs: &Self) -> Result<Self> {
        const OP: &str = "matmul";
        checks::same_dtype(OP, self, rhs)?;
        let wrong = || Error::shapes(OP, self.dims(), rhs.dims());
        let (lead_a, [m, k]) = self.dims().split_last_chunk::<2>().ok_or_else(wrong)?;
        let (lead_b, [inner, n]) = rhs.dims().split_last_chunk::<2>().ok_or_else(wrong)?;
        if k != inner {
            return Err(wrong());
        }
        let lead = checks::broadcast(OP, lead_a, lead_b).map_err(|_| wrong())?;
        checks::admit(OP, &[lead.as_slice(), &[*m, *n]].concat())?;
        let a = self.value().broadcast_as([lead.as_slice(), &[*m, *k]].concat())?;
        let b = rhs.value().broadcast_as([lead.as_slice(), &[*k, *n]].concat())?;
        let y = batched(&a, false, &b, false)?;
        let (shape_a, shape_b) = (self.dims().to_vec(), rhs.dims().to_vec());
        record(OP, y, &[self, rhs], move |gradient, wanted| {
            let da = match wanted.first() {
                Some(true) => Some(reduce_to(&batched(gradient, false, &b, true)?, &shape_a)?),
                _ => None,
            };
            let db = match wanted.get(1) {
                Some(true) => Some(reduce_to(&batched(&a, true, gradient, false)?, &shape_b)?),
                _ => None,
            };
            Ok(vec![da, db])
        })
    }
}
