use candle_core::{DType, Tensor as Value};
use swift_kernels_cuda::{ROW_NORMS, RowNorms};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use crate::Result;
use crate::fused::LowRankPart;

const OP: &str = "row_norms";

/// The norms of rows of `weight` plus `scale * b a`, in `float64`.
pub(crate) fn row_norms(weight: &Value, low_rank: &LowRankPart<'_>) -> Result<Value> {
    let (device, dtype) = (weight.device(), weight.dtype());
    let (rows, width) = weight.dims2()?;
    let weight = weight.contiguous()?;
    let wide = Operands { op: OP, device, dtype: DType::F64 };
    let mut norms = Buffer::new(OP, device, DType::F64, rows)?;
    let arguments = RowNorms {
        weight: Operands { op: OP, device, dtype }.stored(&weight)?,
        a: wide.wide_if(low_rank.a)?,
        b: wide.wide_if(low_rank.b)?,
        norms: norms.address()?,
        width: width as i64,
        rank: low_rank.rank as i64,
        scale: low_rank.scale,
    };
    launch(OP, device, (ROW_NORMS, dtype), Grid::blocks(rows, 1), &arguments)?;
    Ok(norms.into_value(&[rows]))
}
