use candle_core::DType;

use crate::ParameterId;

/// What can go wrong in a tensor operation. Every case names the operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The shapes of two operands don't fit.
    #[error("shape mismatch in `{op}`: lhs {lhs:?}, rhs {rhs:?}")]
    ShapeMismatch {
        /// The operation.
        op: &'static str,
        /// Shape of the first operand.
        lhs: Vec<usize>,
        /// Shape of the second operand, or the shape that was expected.
        rhs: Vec<usize>,
    },
    /// The element types of two operands differ, or one is not what the operation takes.
    #[error("dtype mismatch in `{op}`: lhs {lhs:?}, rhs {rhs:?}")]
    DtypeMismatch {
        /// The operation.
        op: &'static str,
        /// Type of the first operand.
        lhs: DType,
        /// Type of the second operand, or the type that was expected.
        rhs: DType,
    },
    /// An argument is outside of what the operation takes.
    #[error("invalid argument in `{op}`: {message}")]
    InvalidArgument {
        /// The operation.
        op: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The tensor would not fit in memory.
    #[error("out of memory in `{op}`: {elements} elements")]
    OutOfMemory {
        /// The operation.
        op: &'static str,
        /// Elements asked for.
        elements: u128,
    },
    /// A device has no more memory.
    #[error("`{op}` asked the device for {}, which it does not have", memory(*.bytes))]
    DeviceMemory {
        /// The operation.
        op: &'static str,
        /// Bytes asked for, where that is known.
        bytes: Option<usize>,
        /// What the driver says.
        #[source]
        source: Box<candle_core::Error>,
    },
    /// Operands are on different devices.
    #[error("device mismatch in `{op}`: {lhs} and {rhs}")]
    DeviceMismatch {
        /// The operation.
        op: &'static str,
        /// Where the operation takes place.
        lhs: String,
        /// Where an operand is.
        rhs: String,
    },
    /// A device, or a library of it, refused.
    #[error("`{op}` failed on the device: {message}")]
    Device {
        /// The operation.
        op: &'static str,
        /// What it says.
        message: String,
    },
    /// The operation does not exist for this element type or device.
    #[error("unsupported in `{op}`: {what}")]
    Unsupported {
        /// The operation.
        op: &'static str,
        /// What is not supported.
        what: String,
    },
    /// A gradient was asked for through an operation that has none.
    #[error("`{op}` is not differentiable, and a gradient was asked for through it")]
    NotDifferentiable {
        /// The operation.
        op: &'static str,
    },
    /// `backward` met a node that an earlier `backward` had consumed.
    #[error("the graph behind `{op}` was already consumed by an earlier backward pass")]
    Consumed {
        /// The operation.
        op: &'static str,
    },
    /// Inside `check_finite`: the first operation whose result is not finite.
    #[error("`{op}` gave a value that is not finite{}", if *.backward { " in its gradient" } else { "" })]
    NonFinite {
        /// The operation.
        op: &'static str,
        /// Whether it was the gradient.
        backward: bool,
    },
    /// A gradient of the wrong shape reached a parameter.
    #[error("gradient of parameter {} has shape {got:?}, expected {expected:?}", .id.0)]
    GradientShape {
        /// The parameter.
        id: ParameterId,
        /// Shape of the gradient.
        got: Vec<usize>,
        /// Shape of the parameter.
        expected: Vec<usize>,
    },
    /// An error of the code that a segment or a view calls, such as a plugin's.
    #[error("{0}")]
    Other(String),
    /// candle refused the operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A kernel refused its slices.
    #[error(transparent)]
    Kernel(#[from] swift_kernels::KernelError),
}

/// The result of a tensor operation.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::InvalidArgument`].
    pub fn invalid(op: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidArgument { op, message: message.into() }
    }

    pub(crate) fn shapes(op: &'static str, lhs: &[usize], rhs: &[usize]) -> Self {
        Self::ShapeMismatch { op, lhs: lhs.to_vec(), rhs: rhs.to_vec() }
    }

    pub(crate) fn unsupported_dtype(op: &'static str, dtype: DType) -> Self {
        Self::Unsupported { op, what: format!("element type `{}`", dtype.as_str()) }
    }

    /// An operation that a device can't do.
    pub(crate) fn no_body(op: &'static str, device: &candle_core::Device) -> Self {
        Self::Unsupported { op, what: format!("the device {:?}", device.location()) }
    }

    /// The error with the operation that it came up in, if what failed does not say which it was.
    pub(crate) fn within(self, op: &'static str) -> Self {
        match self {
            Self::Candle(source) if is_out_of_memory(&source) => {
                Self::DeviceMemory { op, bytes: None, source: Box::new(source) }
            }
            other => other,
        }
    }

    /// What the user may try next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotDifferentiable { .. } => {
                Some("detach the result if no gradient is meant to flow through it".into())
            }
            Self::Consumed { .. } => {
                Some("a graph can be walked backwards once; compute the loss again".into())
            }
            Self::Unsupported { op: "float8", .. } => {
                Some("`--dtype bfloat16` needs no products in 8 bits".into())
            }
            Self::Candle(error) if is_out_of_memory(error) => Some(LESS_MEMORY.into()),
            Self::DeviceMemory { .. } => Some(LESS_MEMORY.into()),
            _ => None,
        }
    }
}

const LESS_MEMORY: &str = "less is needed with `--gradient-checkpointing true`, a smaller `--max-length` or `--per-device-train-batch-size`, or `--quant-bits 4`; for answers also with smaller `--kv-cache-bytes` or `--max-num-seqs`";

/// In the unit that reads best.
fn memory(bytes: Option<usize>) -> String {
    match bytes {
        Some(bytes @ 0..=0xf_ffff) => format!("{bytes} bytes of memory"),
        Some(bytes) => format!("{} MiB of memory", bytes >> 20),
        None => "memory".into(),
    }
}

/// Whether the driver had no memory to give.
fn is_out_of_memory(error: &candle_core::Error) -> bool {
    error.to_string().contains("OUT_OF_MEMORY")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As cudarc's errors read.
    fn refused() -> candle_core::Error {
        candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into())
    }

    #[test]
    fn whoever_asked_for_memory_that_a_device_does_not_have_is_named_with_what_to_change() {
        let error = Error::DeviceMemory { op: "linear", bytes: Some(96 << 20), source: Box::new(refused()) };
        assert_eq!(
            error.to_string(),
            "`linear` asked the device for 96 MiB of memory, which it does not have"
        );
        assert!(error.hint().unwrap().contains("`--per-device-train-batch-size`"));
        let error = Error::Candle(refused()).within("mul");
        assert_eq!(error.to_string(), "`mul` asked the device for memory, which it does not have");
        assert!(error.hint().unwrap().contains("`--kv-cache-bytes`"));
        let error = Error::Candle(candle_core::Error::Msg("no kernel".into())).within("mul");
        assert_eq!((error.to_string(), error.hint()), ("no kernel".into(), None));
    }
}
