//! A tensor and a number.

use crate::tape::record;
use crate::{Result, Tensor, checks};

impl Tensor {
    /// `x * by`.
    ///
    /// # Errors
    /// If the element type is not a floating-point one.
    pub fn scale(&self, by: f64) -> Result<Self> {
        checks::want_float("scale", self.value())?;
        record("scale", self.value().affine(by, 0.0)?, &[self], move |gradient, _| {
            Ok(vec![Some(gradient.affine(by, 0.0)?)])
        })
    }

    /// `x + value`.
    ///
    /// # Errors
    /// If the element type is not a floating-point one.
    pub fn add_scalar(&self, value: f64) -> Result<Self> {
        checks::want_float("add_scalar", self.value())?;
        record("add_scalar", self.value().affine(1.0, value)?, &[self], |gradient, _| {
            Ok(vec![Some(gradient.clone())])
        })
    }
}
