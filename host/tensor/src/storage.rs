//! Slices of candle tensors, the border between values and kernels.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor as Value, WithDType};
use half::vec::HalfBitsVecExt as _;
use rayon::prelude::*;

use crate::reading::{count_read, read_back};
use crate::{Error, Result};

/// An element type that kernels compute with.
pub(crate) trait Real: WithDType + Zeroed + swift_kernels::Element {}

impl<T: WithDType + Zeroed + swift_kernels::Element> Real for T {}

/// Runs `$body` with `$T` bound to the floating-point type of `$dtype`.
macro_rules! with_real {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            candle_core::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            candle_core::DType::F16 => {
                type $T = half::f16;
                $body
            }
            other => Err($crate::Error::unsupported_dtype($op, other)),
        }
    };
}
pub(crate) use with_real;

/// What elements of `dtype` are computed and summed in: `float32` for those of 16 bits.
pub(crate) fn wide(dtype: DType) -> DType {
    if matches!(dtype, DType::BF16 | DType::F16) { DType::F32 } else { dtype }
}

/// Which bodies an operation has for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    #[cfg_attr(feature = "emulation", expect(dead_code, reason = "the CPU stands for a CUDA device"))]
    Cpu,
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    Cuda,
}

/// The bodies for `device`. With the feature `emulation` the CPU stands for a CUDA device.
pub(crate) fn bodies(op: &'static str, device: &Device) -> Result<Bodies> {
    match device {
        #[cfg(feature = "emulation")]
        Device::Cpu => Ok(Bodies::Cuda),
        #[cfg(not(feature = "emulation"))]
        Device::Cpu => Ok(Bodies::Cpu),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => Ok(Bodies::Cuda),
        other => Err(Error::no_body(op, other)),
    }
}

/// Runs the body that an operation has for the device of its operands. Where there is none that is an error that names both: nothing
/// is copied in silence.
macro_rules! on_device {
    ($op:expr, $device:expr, cpu: $cpu:expr, cuda: $cuda:expr $(,)?) => {
        match $crate::storage::bodies($op, $device)? {
            $crate::storage::Bodies::Cpu => $cpu,
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            $crate::storage::Bodies::Cuda => $cuda,
        }
    };
}
pub(crate) use on_device;

/// Lends the elements of `value` in row-major order.
pub(crate) fn read<T: WithDType, R>(value: &Value, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let value = value.contiguous()?;
    let (storage, layout) = value.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Err(not_on_cpu()) };
    let (start, end) =
        layout.contiguous_offsets().ok_or_else(|| Error::invalid("read", "the layout has gaps"))?;
    let slice = storage.as_slice::<T>()?.get(start..end);
    f(slice.ok_or_else(|| Error::invalid("read", "the layout exceeds the storage"))?)
}

/// A tensor on the CPU from its elements, without copying them.
pub(crate) fn make<T: WithDType>(elements: Vec<T>, shape: &[usize]) -> Result<Value> {
    Ok(Value::from_vec(elements, shape, &Device::Cpu)?)
}

/// Zeros to be overwritten. Many are written by all threads: memory that was used before has to be, and would keep the others
/// waiting.
pub(crate) fn zeros<T: Zeroed>(count: usize) -> Vec<T> {
    const MANY: usize = 1 << 18;
    const BLOCK: usize = 1024;
    if count < MANY {
        return T::zeros(count);
    }
    let mut blocks = Vec::new();
    rayon::iter::repeat_n([T::default(); BLOCK], count.div_ceil(BLOCK)).collect_into_vec(&mut blocks);
    let mut elements = blocks.into_flattened();
    elements.truncate(count);
    elements
}

/// An element type of which the allocator can give zeros without anybody writing them.
pub trait Zeroed: Copy + Default + Send + Sync {
    /// So many zeros, which take no memory yet where the system gives it when it is written.
    fn zeros(count: usize) -> Vec<Self>;
}

/// The standard library knows of these that their zeros are all bits zero.
macro_rules! zeroed {
    ($($type:ty),+) => {$(
        impl Zeroed for $type {
            fn zeros(count: usize) -> Vec<Self> {
                vec![<$type>::default(); count]
            }
        }
    )+};
}
zeroed!(u8, f32, f64);

/// It does not know that of these.
macro_rules! zeroed_by_bits {
    ($($type:ty),+) => {$(
        impl Zeroed for $type {
            fn zeros(count: usize) -> Vec<Self> {
                vec![0u16; count].reinterpret_into()
            }
        }
    )+};
}
zeroed_by_bits!(half::bf16, half::f16);

/// The same elements in another shape; they are copied if there are gaps between them.
pub(crate) fn reshaped(value: &Value, shape: &[usize]) -> Result<Value> {
    on_device!("reshape", value.device(),
        cpu: Ok(value.reshape(shape)?),
        cuda: Ok(crate::cuda::contiguous(value)?.reshape(shape)?),
    )
}

/// Writes `from` over `to`, a value of the same shape and floating-point type without gaps, on a device.
///
/// # Errors
/// If shapes, types or devices differ, or both are on the CPU, whose values are not written twice.
pub fn copy_into(from: &Value, to: &Value) -> Result<()> {
    const OP: &str = "copy";
    on_device!(OP, to.device(),
        cpu: {
            let _ = from;
            Err(Error::no_body(OP, to.device()))
        },
        cuda: crate::cuda::copy_into(OP, from, to),
    )
}

/// Elements as `i64`, from any integer type.
pub(crate) fn read_indices(op: &'static str, value: &Value) -> Result<Vec<i64>> {
    match value.dtype() {
        DType::I64 | DType::U32 | DType::U8 => read_back(&value.to_dtype(DType::I64)?),
        other => Err(Error::DtypeMismatch { op, lhs: other, rhs: DType::I64 }),
    }
}

pub(crate) fn all_finite(value: &Value) -> Result<bool> {
    if !value.device().is_cpu() {
        // Only what is not finite is not zero times zero.
        let rest = value.to_dtype(DType::F32)?.affine(0.0, 0.0)?.sum_all()?;
        count_read()?;
        return Ok(!value.dtype().is_float() || rest.to_scalar::<f32>()? == 0.0);
    }
    let value = value.contiguous()?;
    let (storage, layout) = value.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Err(not_on_cpu()) };
    let range = layout.start_offset()..layout.start_offset() + value.elem_count();
    Ok(match storage {
        CpuStorage::F32(v) => v.get(range).is_none_or(|v| v.iter().all(|x| x.is_finite())),
        CpuStorage::F64(v) => v.get(range).is_none_or(|v| v.iter().all(|x| x.is_finite())),
        CpuStorage::BF16(v) => v.get(range).is_none_or(|v| v.iter().all(|x| x.is_finite())),
        CpuStorage::F16(v) => v.get(range).is_none_or(|v| v.iter().all(|x| x.is_finite())),
        _ => true,
    })
}

pub(crate) fn not_on_cpu() -> Error {
    Error::Unsupported { op: "storage", what: "a device other than the CPU".into() }
}
