use std::sync::Arc;

use candle_core::DType;
use swift_kernels::quantised::Matrix;

use crate::device::current_device;
use crate::storage::{make, on_device, with_real, zeros};
use crate::{Result, Tensor};

/// The weight `[out, in]` of a linear layer, as it is kept in memory.
#[derive(Clone, Debug)]
pub enum Weight {
    /// In the element type that is computed in.
    Dense(Tensor),
    /// In few bits, and frozen: a constant of whatever type it is multiplied with.
    Quantised(Arc<Quantised>),
}

/// A weight of few bits in the memory of the host, and on a device once it has been used there.
#[derive(Debug)]
pub struct Quantised {
    matrix: Matrix,
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    on_device: std::sync::OnceLock<crate::cuda::DeviceMatrix>,
}

impl std::ops::Deref for Quantised {
    type Target = Matrix;

    fn deref(&self) -> &Matrix {
        &self.matrix
    }
}

#[cfg(any(feature = "cuda", feature = "emulation"))]
impl Quantised {
    /// The weight's elements on a device, as a whole. The weight itself stays there.
    pub(crate) fn decoded(&self, dtype: DType, device: &candle_core::Device) -> Result<candle_core::Tensor> {
        if let Some(there) = self.on_device.get() {
            return there.dequantise(dtype);
        }
        let made = crate::cuda::DeviceMatrix::new(&self.matrix, device)?;
        self.on_device.get_or_init(|| made).dequantise(dtype)
    }
}

impl From<Matrix> for Weight {
    fn from(matrix: Matrix) -> Self {
        Self::Quantised(Arc::new(Quantised {
            matrix,
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            on_device: std::sync::OnceLock::new(),
        }))
    }
}

impl From<Tensor> for Weight {
    fn from(weight: Tensor) -> Self {
        Self::Dense(weight)
    }
}

impl Weight {
    /// The size of each dimension.
    pub fn dims(&self) -> Vec<usize> {
        match self {
            Self::Dense(weight) => weight.dims().to_vec(),
            Self::Quantised(weight) => vec![weight.rows(), weight.columns()],
        }
    }

    /// Whether `backward` would reach something from here.
    pub fn requires_grad(&self) -> bool {
        self.as_tensor().is_some_and(Tensor::requires_grad)
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(weight) => weight.elem_count() * weight.dtype().size_in_bytes(),
            Self::Quantised(weight) => weight.bytes(),
        }
    }

    /// The tensor that it is, if it is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Dense(weight) => Some(weight),
            Self::Quantised(_) => None,
        }
    }

    /// The tensor that it is, or else stands for, with elements of `dtype`.
    ///
    /// # Errors
    /// If it is quantised and `dtype` is not a floating-point type.
    pub fn to_tensor(&self, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => Ok(weight.clone()),
            Self::Quantised(weight) => on_device!("dequantise", &current_device(),
                cpu: with_real!("dequantise", dtype, T => {
                    let mut elements = zeros::<T>(weight.rows() * weight.columns());
                    weight.dequantise(&mut elements)?;
                    Ok(Tensor::constant(make(elements, &[weight.rows(), weight.columns()])?))
                }),
                cuda: Ok(Tensor::constant(weight.decoded(dtype, &current_device())?)),
            ),
        }
    }
}
