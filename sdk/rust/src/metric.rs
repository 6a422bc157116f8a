//! Plugins that measure a model on a validation set.

use crate::{Batch, Outputs, Parameters, Result};

/// Measures a model on a validation set.
pub trait Metric: Parameters {
    /// What is gathered from one batch to the next.
    type Gathered: Default + 'static;

    /// Looks at one batch of the validation set. Called for all of them, in order.
    ///
    /// # Errors
    /// Whatever keeps it from being measured; the run ends with it.
    fn observe(&self, gathered: &mut Self::Gathered, batch: &Batch, policy: &Outputs) -> Result<()>;

    /// The numbers of all batches, by name: `perplexity`. They are logged with `eval_` before them.
    ///
    /// # Errors
    /// Whatever keeps it from being measured; the run ends with it.
    fn finish(&self, gathered: Self::Gathered) -> Result<Vec<(String, f64)>>;
}
