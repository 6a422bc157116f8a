//! How parameters follow their gradients: AdamW, or the rule of a plugin.

mod adamw;
mod rule;

use std::path::Path;

use candle_core::Tensor as Value;

use crate::Result;

pub(crate) use adamw::AdamWOptimizer;
pub(crate) use rule::RuleOptimizer;

/// The end of the names of `float32` copies of parameters in lower precision, in an optimiser's file.
const MASTER: &str = "master";

/// What takes a step.
///
/// Weight decay applies to the parameters that ask for it. The `B` matrices of an adapter may have a learning rate of their
/// own (LoRA+), with the same weight decay.
pub(crate) trait Optimizer: Send {
    /// Changes all parameters in place by `gradients` times `scale`, one for each parameter in their order; those without
    /// one stay as they are.
    ///
    /// # Errors
    /// If a gradient does not fit its parameter, or a parameter is of a type that is not trained.
    fn step(&mut self, gradients: &[Option<&Value>], learning_rate: f64, scale: f64) -> Result<()>;

    /// Writes what it keeps between steps, as vectors `PARAMETER.SLOT`, and for parameters of 16 bits their `float32`
    /// copies as `PARAMETER.master`.
    ///
    /// # Errors
    /// If the file can't be written.
    fn save(&mut self, path: &Path) -> Result<()>;

    /// Takes up the state that [`Self::save`] wrote after `steps` steps.
    ///
    /// # Errors
    /// If the file is damaged or belongs to other parameters.
    fn restore(&mut self, path: &Path, steps: u64) -> Result<()>;
}
