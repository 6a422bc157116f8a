//! Elements and slices by their index.

use candle_core::Tensor as Value;

use crate::storage::{make, on_device, wide};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

/// The index as candle wants it: `int64` and without gaps; and the same as numbers, which have been checked. From a device they are
/// read back for that, since an index outside of its bounds would read and write what belongs to others.
fn checked(op: &'static str, index: &Tensor, size: usize) -> Result<(Value, Vec<i64>)> {
    let numbers = checks::indices(op, index.value(), size)?;
    let value = on_device!(op, index.value().device(),
        cpu: make(numbers.clone(), index.dims()),
        cuda: Ok(index.value().to_dtype(candle_core::DType::I64)?.contiguous()?),
    )?;
    Ok((value, numbers))
}

/// The gradient of the rows that `index` chose from `shape` along `dim`: the sums of what went to each.
pub(crate) fn index_add(gradient: &Value, numbers: &[i64], shape: &[usize], dim: usize) -> Result<Value> {
    const OP: &str = "index_select";
    on_device!(OP, gradient.device(),
        cpu: {
            let index = make(numbers.to_vec(), &[numbers.len()])?;
            let dtype = wide(gradient.dtype());
            let zeros = Value::zeros(shape, dtype, gradient.device())?;
            let summed = zeros.index_add(&index, &gradient.to_dtype(dtype)?.contiguous()?, dim)?;
            Ok(summed.to_dtype(gradient.dtype())?)
        },
        cuda: {
            // candle's kernel goes through the whole index with one thread for each column.
            let first = gradient.transpose(0, dim)?.contiguous()?;
            let count = shape.get(dim).copied().unwrap_or_default();
            let rest: Vec<usize> = first.dims().iter().skip(1).copied().collect();
            let width = rest.iter().product();
            let summed = crate::cuda::group_sums(OP, &first, width, (numbers, count), false)?;
            Ok(summed.reshape([vec![count], rest].concat())?.transpose(0, dim)?.contiguous()?)
        },
    )
}

impl Tensor {
    /// Elements along `dim` at `index`, which has as many dimensions as the tensor and is nowhere larger off `dim`.
    ///
    /// # Errors
    /// If shapes don't fit or an index is outside of the dimension.
    pub fn gather(&self, dim: i32, index: &Self) -> Result<Self> {
        const OP: &str = "gather";
        let dim = checks::dim(OP, self.value(), dim)?;
        let fits = index.dims().len() == self.dims().len()
            && index.dims().iter().zip(self.dims()).enumerate().all(|(i, (a, b))| i == dim || a == b);
        if !fits {
            return Err(Error::shapes(OP, self.dims(), index.dims()));
        }
        checks::admit(OP, index.dims())?;
        let (index, _) = checked(OP, index, self.dims().get(dim).copied().unwrap_or_default())?;
        let y = self.value().contiguous()?.gather(&index, dim)?;
        let shape = self.dims().to_vec();
        record(OP, y, &[self], move |gradient, _| {
            let dtype = wide(gradient.dtype());
            let zeros = Value::zeros(shape, dtype, gradient.device())?;
            let summed = zeros.scatter_add(&index, &gradient.to_dtype(dtype)?.contiguous()?, dim)?;
            Ok(vec![Some(summed.to_dtype(gradient.dtype())?)])
        })
    }

    /// Whole slices along `dim` at a one-dimensional `index`.
    ///
    /// # Errors
    /// If the index is not one-dimensional or goes outside of the dimension.
    pub fn index_select(&self, dim: i32, index: &Self) -> Result<Self> {
        const OP: &str = "index_select";
        let dim = checks::dim(OP, self.value(), dim)?;
        if index.dims().len() != 1 {
            return Err(Error::shapes(OP, self.dims(), index.dims()));
        }
        let mut shape = self.dims().to_vec();
        if let Some(size) = shape.get_mut(dim) {
            *size = index.elem_count();
        }
        checks::admit(OP, &shape)?;
        let (index, numbers) = checked(OP, index, self.dims().get(dim).copied().unwrap_or_default())?;
        let y = self.value().contiguous()?.index_select(&index, dim)?;
        let shape = self.dims().to_vec();
        record(OP, y, &[self], move |gradient, _| Ok(vec![Some(index_add(gradient, &numbers, &shape, dim)?)]))
    }
}
