use candle_core::{DType, Tensor as Value, WithDType};
use swift_kernels::quantised::Matrix;
use swift_kernels_cuda::{DEQUANTISE, Dequantise};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use crate::{Result, Staging, Zeroed};

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
    /// Takes a weight to the device.
    pub(crate) fn new(matrix: &Matrix, staging: &mut Staging) -> Result<Self> {
        fn send<T: WithDType + Zeroed>(from: &[T], staging: &mut Staging) -> Result<Value> {
            staging.value(&[from.len()], |first, into| {
                into.iter_mut().zip(from.iter().skip(first)).for_each(|(into, from)| *into = *from);
            })
        }
        let parts = matrix.encoded();
        Ok(Self {
            codes: send(&parts.codes, staging)?,
            scales: send(&parts.scales, staging)?,
            bits: parts.bits,
            block: parts.block,
            shape: [matrix.rows(), matrix.columns()],
        })
    }

    pub(crate) fn dims(&self) -> [usize; 2] {
        self.shape
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        [&self.codes, &self.scales].map(|part| part.elem_count() * part.dtype().size_in_bytes()).iter().sum()
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
