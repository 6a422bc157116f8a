//! What is summed up of values.

use candle_core::{DType, Tensor as Value};
use swift_tensor::read_back;

use crate::Result;

/// `sum(values * weights)` and `sum(weights)` in `f64`; each value weighs 1 without weights. What weighs nothing does not
/// count, even if it is no number.
pub(crate) fn weighted_sum(values: &Value, weights: Option<&Value>) -> Result<(f64, f64)> {
    let list = |value: &Value| read_back::<f64>(&value.to_dtype(DType::F64)?);
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
