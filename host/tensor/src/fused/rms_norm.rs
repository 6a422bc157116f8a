use swift_kernels::rms_norm as kernel;

use crate::storage::{make, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

/// `x / sqrt(mean(x^2) + epsilon) * weight` over the last dimension (Zhang and Sennrich 2019). Keeps the input and one
/// number a row for the way back.
///
/// # Errors
/// If the weight is not as wide as the last dimension, or element types differ.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    rms_norm_offset(x, weight, 0.0, epsilon)
}

/// `x / sqrt(mean(x^2) + epsilon) * (offset + weight)` over the last dimension. The sum is taken in the precision of the
/// computation: in `bfloat16` it would lose what makes a small weight.
///
/// # Errors
/// As [`rms_norm`].
pub fn rms_norm_offset(x: &Tensor, weight: &Tensor, offset: f64, epsilon: f64) -> Result<Tensor> {
    const OP: &str = "rms_norm";
    let width = x.dims().last().copied().unwrap_or_default();
    if weight.dims() != [width] || width == 0 {
        return Err(Error::shapes(OP, x.dims(), weight.dims()));
    }
    checks::same_dtype(OP, x, weight)?;
    let norm = kernel::RmsNorm { width, epsilon, offset };
    let shape = x.dims().to_vec();
    let (x_value, weight_value) = (x.value().contiguous()?, weight.value().clone());
    with_real!(OP, x.dtype(), T => {
        type Compute = <T as swift_kernels::Element>::Compute;
        let (y, rstd) = read::<T, _>(&x_value, |x| read::<T, _>(&weight_value, |weight| {
            let mut y = zeros::<T>(x.len());
            let mut rstd = zeros::<Compute>(x.len() / width);
            kernel::forward(x, weight, &norm, &mut y, &mut rstd)?;
            Ok((make(y, &shape)?, rstd))
        }))?;
        record(OP, y, &[x, weight], move |gradient, wanted| {
            let [want_x, want_weight] = [0, 1].map(|i| wanted.get(i) == Some(&true));
            read::<T, _>(gradient, |dy| read::<T, _>(&x_value, |x| read::<T, _>(&weight_value, |weight| {
                let mut dx = want_x.then(|| zeros::<T>(x.len()));
                let mut dweight = want_weight.then(|| zeros::<Compute>(width));
                kernel::backward(dy, x, weight, &rstd, &norm, dx.as_deref_mut(), dweight.as_deref_mut())?;
                Ok(vec![
                    dx.map(|dx| make(dx, &shape)).transpose()?,
                    dweight.map(|dweight| make(dweight, &[width])).transpose()?,
                ])
            })))
        })
    })
}
