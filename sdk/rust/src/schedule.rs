//! Plugins that say how the learning rate changes.

use crate::{Parameters, Result};

/// How the learning rate changes in the course of a run.
pub trait Schedule: Parameters {
    /// The factor on the learning rate for the step that follows `step` steps, of `max_steps`. Neither counts the steps of
    /// the warm-up, which the host takes care of. Must depend on nothing else, so that a resumed run goes on as it would
    /// have.
    ///
    /// # Errors
    /// If the hyper-parameters make no schedule; the run ends with it.
    fn factor(&self, step: u64, max_steps: u64) -> Result<f64>;
}
