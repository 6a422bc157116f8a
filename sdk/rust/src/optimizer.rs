//! Plugins that say how parameters follow their gradients.

use crate::{Parameters, Result, Tensor};

pub use crate::bindings::optimizer::{Parameter as OptimizedParameter, Slot, Step};

/// How parameters follow their gradients.
pub trait Optimizer: Parameters {
    /// The tensors to keep for a parameter between steps; they are zero at first.
    fn slots(&self, parameter: &OptimizedParameter) -> Vec<Slot>;

    /// Takes a step with one parameter. `value` and `gradient` are `float32` in the parameter's shape; the gradient is
    /// clipped.
    ///
    /// # Errors
    /// Whatever keeps the step from being taken; the run ends with it.
    fn update(
        &self,
        parameter: &OptimizedParameter,
        value: &Tensor,
        gradient: &Tensor,
        slots: &[Tensor],
        step: &Step,
    ) -> Result<Update>;
}

/// What becomes of a parameter and its slots.
#[derive(Debug)]
#[must_use]
pub struct Update {
    /// The new value, in the parameter's shape.
    pub value: Tensor,
    /// The new slots, in their order.
    pub slots: Vec<Tensor>,
}

impl Slot {
    /// A slot of the parameter's own shape.
    pub fn like(parameter: &OptimizedParameter, name: &str) -> Self {
        Self { name: name.to_owned(), shape: parameter.shape.clone() }
    }
}
