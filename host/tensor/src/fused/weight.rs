use std::sync::Arc;

use candle_core::{DType, Device};
use swift_kernels::quantised::Matrix;

use crate::storage::{make, on_device, with_real, zeros};
use crate::{Result, Staging, Tensor};

/// What both sizes of a weight must be multiples of for products in 8 bits, as matrix units want it.
pub const FLOAT8_UNIT: usize = 16;

/// Refuses a device without products in 8 bits: CUDA devices have them from compute capability 8.9 on (Ada, Hopper).
///
/// # Errors
/// If it has none.
pub fn require_float8(device: &Device) -> Result<()> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        let (major, minor) = crate::cuda::compute_capability(device)?;
        if (major, minor) < (8, 9) {
            let what = format!("a device of compute capability {major}.{minor}, where 8.9 is needed");
            return Err(crate::Error::Unsupported { op: "float8", what });
        }
    }
    #[cfg(not(feature = "cuda"))]
    let _ = device;
    Ok(())
}

/// The weight `[out, in]` of a linear layer, as it is kept in memory and multiplied.
#[derive(Clone, Debug)]
pub enum Weight {
    /// In the element type that is computed in.
    Dense(Tensor),
    /// The same, but its products are taken of operands rounded to 8 bits: see [`Weight::in_float8`].
    Float8(Tensor),
    /// In few bits, and frozen: a constant of whatever type it is multiplied with.
    Quantised(Arc<Quantised>),
}

/// A weight of few bits, in the memory of the host or of a device.
#[derive(Debug)]
pub struct Quantised(Kept);

#[derive(Debug)]
enum Kept {
    Host(Matrix),
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    Device(crate::cuda::DeviceMatrix),
}

impl Quantised {
    fn dims(&self) -> [usize; 2] {
        match &self.0 {
            Kept::Host(matrix) => [matrix.rows(), matrix.columns()],
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Kept::Device(matrix) => matrix.dims(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.0 {
            Kept::Host(matrix) => matrix.bytes(),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Kept::Device(matrix) => matrix.bytes(),
        }
    }

    /// The weight, for bodies of the CPU.
    pub(crate) fn host(&self) -> Result<&Matrix> {
        match &self.0 {
            Kept::Host(matrix) => Ok(matrix),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Kept::Device(_) => Err(crate::storage::not_on_cpu()),
        }
    }

    /// The weight's elements on its device, as a whole.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    pub(crate) fn decoded(&self, dtype: DType) -> Result<candle_core::Tensor> {
        match &self.0 {
            Kept::Device(matrix) => matrix.dequantise(dtype),
            Kept::Host(_) => Err(crate::Error::invalid("dequantise", "a weight in the memory of the host")),
        }
    }

    fn to_tensor(&self, dtype: DType) -> Result<Tensor> {
        match &self.0 {
            Kept::Host(matrix) => with_real!("dequantise", dtype, T => {
                let mut elements = zeros::<T>(matrix.rows() * matrix.columns());
                matrix.dequantise(&mut elements)?;
                Ok(Tensor::constant(make(elements, &self.dims())?))
            }),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Kept::Device(matrix) => Ok(Tensor::constant(matrix.dequantise(dtype)?)),
        }
    }
}

impl From<Tensor> for Weight {
    fn from(weight: Tensor) -> Self {
        Self::Dense(weight)
    }
}

impl Weight {
    /// A weight of few bits in the memory of the device that `staging` is for, and there alone.
    ///
    /// # Errors
    /// As [`Staging::value`].
    pub fn quantised(matrix: Matrix, staging: &mut Staging) -> Result<Self> {
        let kept = on_device!("quantise", staging.device(),
            cpu: Ok::<_, crate::Error>(Kept::Host(matrix)),
            cuda: crate::cuda::DeviceMatrix::new(&matrix, staging).map(Kept::Device),
        )?;
        Ok(Self::Quantised(Arc::new(Quantised(kept))))
    }

    /// The same weight, whose products are to be taken in 8 bits: each operand as a whole is scaled and rounded, inputs and weights to
    /// E4M3 and gradients of outputs to E5M2 (see [`swift_kernels::float8`]). One that is quantised, or has a size that is no multiple
    /// of [`FLOAT8_UNIT`], stays as it is.
    #[must_use]
    pub fn in_float8(self) -> Self {
        match self {
            Self::Dense(weight) if weight.dims().iter().all(|size| size.is_multiple_of(FLOAT8_UNIT)) => {
                Self::Float8(weight)
            }
            weight => weight,
        }
    }

    /// The size of each dimension.
    pub fn dims(&self) -> Vec<usize> {
        match self {
            Self::Dense(weight) | Self::Float8(weight) => weight.dims().to_vec(),
            Self::Quantised(weight) => weight.dims().into(),
        }
    }

    /// Whether `backward` would reach something from here.
    pub fn requires_grad(&self) -> bool {
        self.as_tensor().is_some_and(Tensor::requires_grad)
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(weight) | Self::Float8(weight) => {
                weight.elem_count() * weight.dtype().size_in_bytes()
            }
            Self::Quantised(weight) => weight.bytes(),
        }
    }

    /// The tensor that it is, if it is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Dense(weight) | Self::Float8(weight) => Some(weight),
            Self::Quantised(_) => None,
        }
    }

    /// The tensor that it is, or else stands for, with elements of `dtype`.
    ///
    /// # Errors
    /// If it is quantised and `dtype` is not a floating-point type.
    pub fn to_tensor(&self, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Dense(weight) | Self::Float8(weight) => Ok(weight.clone()),
            Self::Quantised(weight) => weight.to_tensor(dtype),
        }
    }
}
