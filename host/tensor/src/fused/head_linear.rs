use std::ops::Range;

use candle_core::Tensor as Value;
use swift_kernels::grouped::{self, GroupedShape};

use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record_constant;
use crate::{Error, Result, Tensor, checks};

const OP: &str = "head_linear";

/// Which way a matrix is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `x W^T`: from its columns to its rows.
    Forth,
    /// `x W`: from its rows to its columns.
    Back,
}

/// A product for each head with the head's own rows of a matrix. With `W` `[heads * size, in]`, `W[h]` the rows `rows` of the
/// `size` that head `h` has: `x[t, h] W[h]^T` for `x` `[tokens, heads, in]`, or [back](Way::Back) `x[t, h] W[h]` for `x`
/// `[tokens, heads, rows]`. The matrix is read once and not copied. There is no way back through it.
///
/// # Errors
/// If shapes or types don't fit.
pub fn head_linear(x: &Tensor, weight: &Tensor, rows: Range<usize>, way: Way) -> Result<Tensor> {
    let wrong = || Error::shapes(OP, x.dims(), weight.dims());
    let (&[tokens, heads, width], &[all, columns]) = (x.dims(), weight.dims()) else { return Err(wrong()) };
    let size = all.checked_div(heads).filter(|size| size * heads == all).ok_or_else(wrong)?;
    let (taken, count) = match way {
        Way::Forth => (columns, rows.len()),
        Way::Back => (rows.len(), columns),
    };
    if width != taken || rows.end > size || rows.is_empty() {
        return Err(wrong());
    }
    checks::same_dtype(OP, x, weight)?;
    checks::admit(OP, &[tokens, heads, count])?;
    let (by_head, matrix) = (x.value().transpose(0, 1)?.contiguous()?, weight.value().contiguous()?);
    let y = on_device!(OP, by_head.device(),
        cpu: products(&by_head, &matrix, size, rows, way),
        cuda: {
            let own = matrix.reshape((heads, size, columns))?.narrow(1, rows.start, rows.len())?.contiguous()?;
            match (tokens, way) {
                (0, _) => Ok(Value::zeros((heads, 0, count), x.dtype(), by_head.device())?),
                (_, Way::Forth) => Ok(by_head.matmul(&own.transpose(1, 2)?)?),
                (_, Way::Back) => Ok(by_head.matmul(&own)?),
            }
        },
    )?;
    record_constant(OP, y.transpose(0, 1)?.contiguous()?, &[x, weight])
}

/// `x` `[heads, tokens, ..]` times the rows of each head, `size` of which it has in the matrix.
fn products(x: &Value, matrix: &Value, size: usize, rows: Range<usize>, way: Way) -> Result<Value> {
    let ((heads, tokens, _), columns) = (x.dims3()?, matrix.dim(1)?);
    let counts = vec![tokens; heads];
    let shape = GroupedShape { counts: &counts, inputs: columns, outputs: rows.len(), transposed: false };
    let count = if way == Way::Forth { rows.len() } else { columns };
    with_real!(OP, x.dtype(), T => read::<T, _>(matrix, |elements| {
        let matrices: Vec<&[T]> = elements
            .chunks_exact(size * columns)
            .filter_map(|head| head.get(rows.start * columns..rows.end * columns))
            .collect();
        let mut y = zeros::<T>(heads * tokens * count);
        read::<T, _>(x, |x| match way {
            Way::Forth => Ok(grouped::forward(x, &matrices, &shape, &mut y, false)?),
            Way::Back => Ok(grouped::input_gradient(x, &matrices, &shape, &mut y)?),
        })?;
        make(y, &[heads, tokens, count])
    }))
}
