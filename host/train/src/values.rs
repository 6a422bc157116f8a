//! The elements of values, as slices.

use candle_core::{CpuStorage, DType, Storage, Tensor as Value};

use crate::Result;

/// Lends the elements of a `float32` value on the CPU in row-major order.
pub(crate) fn with_f32<R>(value: &Value, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let value = value.contiguous()?;
    let (storage, layout) = value.storage_and_layout();
    let range = layout.start_offset()..layout.start_offset() + value.elem_count();
    let elements = match &*storage {
        Storage::Cpu(CpuStorage::F32(all)) => all.get(range),
        _ => None,
    };
    let what = || format!("{:?} on {:?}", value.dtype(), value.device());
    let elements = elements.ok_or_else(|| swift_tensor::Error::Unsupported { op: "read", what: what() })?;
    Ok(f(elements))
}

/// The sum of squares, in `f64` and in a fixed order.
pub(crate) fn sum_of_squares(value: &Value) -> Result<f64> {
    Ok(swift_tensor::sum_of_squares(value)?)
}

/// `sum(values * weights)` and `sum(weights)` in `f64`; each value weighs 1 without weights. What weighs nothing does not
/// count, even if it is no number.
pub(crate) fn weighted_sum(values: &Value, weights: Option<&Value>) -> Result<(f64, f64)> {
    let list = |value: &Value| value.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let values = list(values)?;
    Ok(match weights {
        None => (values.iter().sum(), values.len() as f64),
        Some(weights) => {
            let weights = list(weights)?;
            let pairs = values.iter().zip(&weights).filter(|(_, weight)| **weight != 0.0);
            (pairs.map(|(value, weight)| value * weight).sum(), weights.iter().sum())
        }
    })
}
