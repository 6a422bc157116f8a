//! A tensor and a number.

use candle_core::Tensor as Value;

use crate::storage::on_device;
use crate::tape::record;
use crate::{Result, Tensor, checks};

/// The body of `op` with a number.
fn with_number(
    op: &'static str,
    x: &Value,
    number: f64,
    f: impl FnOnce(&Value) -> candle_core::Result<Value>,
) -> Result<Value> {
    on_device!(op, x.device(),
        cpu: { let _ = number; Ok(f(x)?) },
        cuda: { let _ = f; crate::cuda::with_number(op, x, number) },
    )
}

impl Tensor {
    /// `x * by`.
    ///
    /// # Errors
    /// If the element type is not a floating-point one.
    pub fn scale(&self, by: f64) -> Result<Self> {
        checks::want_float("scale", self.value())?;
        record(
            "scale",
            with_number("scale", self.value(), by, |x| x.affine(by, 0.0))?,
            &[self],
            move |gradient, _| Ok(vec![Some(gradient.affine(by, 0.0)?)]),
        )
    }

    /// `x + value`.
    ///
    /// # Errors
    /// If the element type is not a floating-point one.
    pub fn add_scalar(&self, value: f64) -> Result<Self> {
        checks::want_float("add_scalar", self.value())?;
        record(
            "add_scalar",
            with_number("add_scalar", self.value(), value, |x| x.affine(1.0, value))?,
            &[self],
            |gradient, _| Ok(vec![Some(gradient.clone())]),
        )
    }
}
