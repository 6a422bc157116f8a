use candle_core::Tensor as Value;
use swift_kernels::rms_norm as kernel;

use crate::storage::{make, on_device, read, with_real, zeros};
use crate::tape::record;
use crate::{Error, Result, Tensor, checks};

const OP: &str = "rms_norm";

/// `x / sqrt(mean(x^2) + epsilon) * weight` over the last dimension (Zhang and Sennrich 2019). Keeps the input and one
/// number a row for the way back.
///
/// # Errors
/// If the weight is not as wide as the last dimension, or element types differ.
pub fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f64) -> Result<Tensor> {
    rms_norm_offset(x, weight, 0.0, epsilon)
}

/// `x / sqrt(mean(x^2) + epsilon) * (offset + weight)` over the last dimension. The sum is taken in the precision of the
/// computation: in 16 bits it would lose what makes a small weight.
///
/// # Errors
/// As [`rms_norm`].
pub fn rms_norm_offset(x: &Tensor, weight: &Tensor, offset: f64, epsilon: f64) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or_default();
    if weight.dims() != [width] || width == 0 {
        return Err(Error::shapes(OP, x.dims(), weight.dims()));
    }
    checks::same_dtype(OP, x, weight)?;
    let norm = kernel::RmsNorm { width, epsilon, offset };
    let (x_value, weight_value) = (x.value().contiguous()?, weight.value().clone());
    let device = x_value.device().clone();
    let [y, rstd] = on_device!(OP, &device,
        cpu: forward(&x_value, &weight_value, &norm),
        cuda: crate::cuda::rms_norm_forward(&x_value, &weight_value, &norm),
    )?;
    record(OP, y, &[x, weight], move |gradient, wanted| {
        let wanted = [0, 1].map(|i| wanted.get(i) == Some(&true));
        let kept = [&x_value, &weight_value, &rstd];
        let gradients = on_device!(OP, &device,
            cpu: backward(gradient, kept, &norm, wanted),
            cuda: crate::cuda::rms_norm_backward(gradient, kept, &norm, wanted),
        )?;
        Ok(gradients.into())
    })
}

/// The normalised rows, and what is kept of each for the way back.
fn forward(x: &Value, weight: &Value, norm: &kernel::RmsNorm) -> Result<[Value; 2]> {
    with_real!(OP, x.dtype(), T => read::<T, _>(x, |elements| read::<T, _>(weight, |weight| {
        let mut y = zeros::<T>(elements.len());
        let mut rstd = zeros::<<T as swift_kernels::Element>::Compute>(elements.len() / norm.width);
        kernel::forward(elements, weight, norm, &mut y, &mut rstd)?;
        let rows = rstd.len();
        Ok([make(y, x.dims())?, make(rstd, &[rows])?])
    })))
}

/// The gradients that are wanted.
fn backward(
    dy: &Value,
    [x, weight, rstd]: [&Value; 3],
    norm: &kernel::RmsNorm,
    [want_x, want_weight]: [bool; 2],
) -> Result<[Option<Value>; 2]> {
    let (shape, width) = (x.dims(), norm.width);
    with_real!(OP, x.dtype(), T => {
        type Compute = <T as swift_kernels::Element>::Compute;
        read::<T, _>(dy, |dy| read::<T, _>(x, |x| read::<T, _>(weight, |weight| read::<Compute, _>(rstd, |rstd| {
            let mut dx = want_x.then(|| zeros::<T>(x.len()));
            let mut dweight = want_weight.then(|| zeros::<Compute>(width));
            kernel::backward(dy, x, weight, rstd, norm, dx.as_deref_mut(), dweight.as_deref_mut())?;
            Ok([
                dx.map(|dx| make(dx, shape)).transpose()?,
                dweight.map(|dweight| make(dweight, &[width])).transpose()?,
            ])
        }))))
    })
}
