use std::ops::Range;

use candle_core::Storage;
use swift_kernels::grouped::{self, GroupedShape};

use crate::storage::{make, not_on_cpu, read, with_real, zeros};
use crate::tape::record_constant;
use crate::{Error, Result, Tensor, checks};

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
    const OP: &str = "head_linear";
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
    let matrix = weight.value().contiguous()?;
    let by_head = x.value().transpose(0, 1)?.contiguous()?;
    let counts = vec![tokens; heads];
    let shape = GroupedShape { counts: &counts, inputs: columns, outputs: rows.len(), transposed: false };
    let y = with_real!(OP, x.dtype(), T => {
        let (storage, layout) = matrix.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { return Err(not_on_cpu()) };
        let range = layout.contiguous_offsets().map(|(start, end)| start..end);
        let elements = range.and_then(|range| storage.as_slice::<T>().ok()?.get(range)).unwrap_or_default();
        let matrices: Vec<&[T]> = elements
            .chunks_exact(size * columns)
            .filter_map(|head| head.get(rows.start * columns..rows.end * columns))
            .collect();
        let mut y = zeros::<T>(heads * tokens * count);
        read::<T, _>(&by_head, |x| {
            match way {
                Way::Forth => grouped::forward(x, &matrices, &shape, &mut y, false)?,
                Way::Back => grouped::input_gradient(x, &matrices, &shape, &mut y)?,
            }
            Ok(())
        })?;
        make(y, &[heads, tokens, count])
    })?;
    record_constant(OP, y.transpose(0, 1)?.contiguous()?, &[x, weight])
}
