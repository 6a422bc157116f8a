use super::rms_norm;
use crate::storage;
use crate::{Error, Result, Tensor, checks, full};

/// `(x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias` over the last dimension (Ba et al. 2016), the variance being
/// the mean of squares. Types of 16 bits are computed in `float32` and rounded once.
///
/// # Errors
/// If weight or bias is not as wide as the last dimension, or element types differ.
pub fn layer_norm(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    epsilon: f64,
) -> Result<Tensor> {
    const OP: &str = "layer_norm";
    let width = x.dims().last().copied().unwrap_or_default();
    for parameter in [weight, bias].into_iter().flatten() {
        if parameter.dims() != [width] || width == 0 {
            return Err(Error::shapes(OP, x.dims(), parameter.dims()));
        }
        checks::same_dtype(OP, x, parameter)?;
    }
    let dtype = x.dtype();
    let wide = storage::wide(dtype);
    let x = x.cast(wide)?;
    // Without its mean, the root of a row's mean of squares is its deviation.
    let centred = x.sub(&x.mean(&[-1], true)?)?;
    let weight = match weight {
        Some(weight) => weight.cast(wide)?,
        None => full(1.0, &[width as u64], wide)?,
    };
    let y = rms_norm(&centred, &weight, epsilon)?;
    let y = match bias {
        Some(bias) => y.add(&bias.cast(wide)?)?,
        None => y,
    };
    y.cast(dtype)
}
