use crate::ops::index_add;
use crate::storage::{make, on_device};
use crate::tape::record;
use crate::{Error, HostNumbers, Result, Tensor, checks};

/// Rows of `weight` `[vocab, hidden_size]` for `ids` `[tokens]`: `[tokens, hidden_size]`.
///
/// # Errors
/// If an id is outside of the vocabulary.
pub fn embedding(weight: &Tensor, ids: &HostNumbers<u32>) -> Result<Tensor> {
    take_rows("embedding", weight, ids)
}

/// Some rows of `x` `[rows, ..]` by numbers that the host has: as [`Tensor::index_select`], but nothing is read back to be checked.
///
/// # Errors
/// If there is no such row.
pub fn rows(x: &Tensor, numbers: &HostNumbers<u32>) -> Result<Tensor> {
    take_rows("rows", x, numbers)
}

fn take_rows(op: &'static str, x: &Tensor, rows: &HostNumbers<u32>) -> Result<Tensor> {
    let shape = x.dims().to_vec();
    let Some(&size) = shape.first() else { return Err(Error::shapes(op, &shape, &[rows.host().len()])) };
    rows.check(op, size)?;
    let taken: Vec<usize> = [&[rows.host().len()], shape.get(1..).unwrap_or_default()].concat();
    checks::admit(op, &taken)?;
    let numbers: Vec<i64> = rows.host().iter().map(|&row| i64::from(row)).collect();
    let y = on_device!(op, x.value().device(),
        cpu: Ok::<_, Error>(x.value().contiguous()?.index_select(&make(numbers.clone(), &[numbers.len()])?, 0)?),
        cuda: crate::cuda::take_rows(op, x.value(), rows),
    )?;
    record(op, y, &[x], move |gradient, _| Ok(vec![Some(index_add(gradient, &numbers, &shape, 0)?)]))
}
