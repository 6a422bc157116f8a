use super::{ModelOutputs, PackedBatch};
use crate::bindings::loss::Input;
use crate::{Batch, Metric, Outputs, Result};

/// The numbers of a metric for a validation set of these batches.
///
/// # Errors
/// What the metric gives; or that a number of a test does not fit its batch.
pub fn measure<M: Metric>(metric: &M, batches: &[(PackedBatch, ModelOutputs)]) -> Result<Vec<(String, f64)>> {
    let mut gathered = M::Gathered::default();
    for (batch, policy) in batches {
        let policy = policy.tensors(batch, false)?;
        metric.observe(&mut gathered, &Batch(batch.view(Input::Causal)), &Outputs(&policy))?;
    }
    metric.finish(gathered)
}
