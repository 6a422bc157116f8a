//! What is summed up of values.

use candle_core::{DType, Tensor as Value};

use crate::Result;

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
