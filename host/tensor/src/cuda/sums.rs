use candle_core::{Device, Tensor as Value};
use swift_kernels_cuda::{COLUMN_SUMS, ColumnSums, GROUP_SUMS, GroupSums, SCALE_ROWS, ScaleRows};

use super::buffer::{Buffer, Operands};
use super::launch::{BLOCK, Grid, launch};
use super::wide;
use crate::Result;

/// Rows that one thread adds up.
const CHUNK: usize = 64;
/// Groups that are few enough for several blocks each.
const FEW: usize = 4096;

/// The sum over all rows of `dy` `[rows, width]`, or of `dy * x * factor` with a factor for each row; `[width]`, in the type that is
/// computed in.
pub(crate) fn column_sums(
    op: &'static str,
    dy: &Value,
    width: usize,
    weights: Option<(&Value, &Value)>,
) -> Result<Value> {
    let (device, dtype, dy) = (dy.device(), dy.dtype(), dy.contiguous()?);
    let rows = dy.elem_count().checked_div(width).unwrap_or(0);
    let chunks = rows.div_ceil(CHUNK);
    if chunks == 0 {
        return Ok(Buffer::zeros(op, device, wide(dtype), width)?.into_value(&[width]));
    }
    let weights = weights.map(|(x, factor)| Ok::<_, crate::Error>((x.contiguous()?, factor))).transpose()?;
    let mut sums = Buffer::new(op, device, wide(dtype), chunks * width)?;
    let at = Operands { op, device, dtype };
    let arguments = ColumnSums {
        dy: at.stored(&dy)?,
        x: weights.as_ref().map_or(Ok(0), |(x, _)| at.stored(x))?,
        factor: at.wide_if(weights.as_ref().map(|(_, factor)| *factor))?,
        sums: sums.address()?,
        rows: rows as i64,
        width: width as i64,
        chunk: CHUNK as i64,
    };
    let grid = Grid::blocks(width.div_ceil(BLOCK as usize), chunks);
    launch(op, device, (COLUMN_SUMS, dtype), grid, &arguments)?;
    let sums = sums.into_value(&[chunks, width]);
    match chunks {
        1 => Ok(sums.get(0)?),
        _ => column_sums(op, &sums, width, None),
    }
}

/// The sum, or the mean, of the rows of `x` `[rows, width]` that belong to each of `count` groups; `groups` names that of each
/// row. Zero where a group has no rows.
pub(crate) fn group_sums(
    op: &'static str,
    x: &Value,
    width: usize,
    (groups, count): (&[i64], usize),
    mean: bool,
) -> Result<Value> {
    let (device, x) = (x.device(), x.contiguous()?);
    let mut starts = vec![0i64; count + 1];
    for &group in groups {
        if let Some(start) = starts.get_mut(group as usize + 1) {
            *start += 1;
        }
    }
    let mut total = 0;
    for start in &mut starts {
        total += *start;
        *start = total;
    }
    let mut order: Vec<i64> = (0..).take(groups.len()).collect();
    order.sort_by_key(|&row| groups.get(row as usize).copied());
    let at = Operands { op, device, dtype: x.dtype() };
    let mut order = Buffer::of(op, device, &order)?;
    let mut starts = Buffer::of(op, device, &starts)?;
    let mut sums = Buffer::new(op, device, x.dtype(), count * width)?;
    let arguments = GroupSums {
        x: at.stored(&x)?,
        order: order.address()?,
        starts: starts.address()?,
        sums: sums.address()?,
        width: width as i64,
        mean: mean.into(),
    };
    // With many groups, as the rows of an embedding, there is work enough without sharing their columns out.
    let shares = if count > FEW { 1 } else { width.div_ceil(32) };
    launch(op, device, (GROUP_SUMS, x.dtype()), Grid::blocks(count, shares.min(width)), &arguments)?;
    Ok(sums.into_value(&[count, width]))
}

/// Each row of `x` `[rows, width]` times its factor.
pub(super) fn scale_rows(op: &'static str, x: &Value, factor: &Value, width: usize) -> Result<Value> {
    let (device, x, factor) = (x.device(), x.contiguous()?, factor.contiguous()?);
    let at = Operands { op, device, dtype: x.dtype() };
    let mut y = Buffer::new(op, device, x.dtype(), x.elem_count())?;
    let arguments =
        ScaleRows { x: at.stored(&x)?, factor: at.wide(&factor)?, y: y.address()?, width: width as i64 };
    launch(op, device, (SCALE_ROWS, x.dtype()), Grid::blocks(factor.elem_count(), 1), &arguments)?;
    Ok(y.into_value(x.dims()))
}

/// The same in place, where rows are still being added to.
pub(super) fn scale_rows_in_place(
    op: &'static str,
    device: &Device,
    x: &mut Buffer,
    factor: &mut Buffer,
    width: usize,
) -> Result<()> {
    let start = x.address()?;
    let arguments = ScaleRows { x: start, factor: factor.address()?, y: start, width: width as i64 };
    launch(op, device, (SCALE_ROWS, x.dtype()), Grid::blocks(factor.count(), 1), &arguments)
}
