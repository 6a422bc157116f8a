use candle_core::{DType, Device, Tensor as Value};
use swift_kernels::quantised::Matrix;
use swift_kernels_cuda::{DEQUANTISE, Dequantise};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use crate::Result;

const OP: &str = "dequantise";

/// A weight of few bits on a device. Scales that are quantised in turn are numbers there, which takes half a bit more for each
/// element in blocks of 64.
#[derive(Debug)]
pub(crate) struct DeviceMatrix {
    codes: Value,
    scales: Value,
    bits: u32,
    /// Elements that share a scale.
    block: usize,
    shape: [usize; 2],
}

impl DeviceMatrix {
    pub(crate) fn new(matrix: &Matrix, device: &Device) -> Result<Self> {
        let parts = matrix.encoded();
        let place = |count: usize| (count.max(1),);
        Ok(Self {
            codes: Value::from_slice(&parts.codes, place(parts.codes.len()), device)?,
            scales: Value::from_slice(&parts.scales, place(parts.scales.len()), device)?,
            bits: parts.bits,
            block: parts.block,
            shape: [matrix.rows(), matrix.columns()],
        })
    }

    /// The elements, rounded to `dtype`: as a whole, for as long as a product takes.
    pub(crate) fn dequantise(&self, dtype: DType) -> Result<Value> {
        let device = self.codes.device();
        let count = self.shape.iter().product();
        let mut y = Buffer::new(OP, device, dtype, count)?;
        let at = |dtype| Operands { op: OP, device, dtype };
        let arguments = Dequantise {
            codes: at(DType::U8).stored(&self.codes)?,
            scales: at(DType::F32).stored(&self.scales)?,
            y: y.address()?,
            count: count as i64,
            block: self.block as i64,
            bits: self.bits.into(),
        };
        launch(OP, device, (DEQUANTISE, dtype), Grid::elements(count), &arguments)?;
        Ok(y.into_value(&self.shape))
    }
}
