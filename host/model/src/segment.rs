//! One stage of a forward pass, which may be computed again on the way back.

use std::sync::{Arc, Mutex, PoisonError};

use swift_tensor::{Tensor, checkpoint};

use crate::batch::Batch;
use crate::context::Context;
use crate::model::{ForwardOptions, SharedDefinition};
use crate::network::Network;
use crate::{Error, Result};

/// Everything that a stage depends on but its input.
pub(crate) struct Segment {
    pub(crate) definition: SharedDefinition,
    pub(crate) network: Arc<Network>,
    pub(crate) batch: Arc<Batch>,
    pub(crate) stage: u32,
    pub(crate) options: ForwardOptions,
}

impl Segment {
    /// Computes the stage: `[tokens, hidden_size]`.
    ///
    /// # Errors
    /// If the definition fails, or gives something that is no hidden state.
    pub(crate) fn run(&self, input: Option<&Tensor>) -> Result<Tensor> {
        let ForwardOptions { adapters, dropout_seed, .. } = self.options;
        let (network, batch) = (self.network.clone(), self.batch.clone());
        let context = Context { network, batch, stage: self.stage, adapters, dropout_seed };
        let mut definition = self.definition.lock().unwrap_or_else(PoisonError::into_inner);
        let output = definition.forward(self.stage, input, Arc::new(context))?;
        let architecture = &self.network.architecture;
        let expected = [self.batch.ids.elem_count(), architecture.hidden_size as usize];
        if output.dims() != expected || output.dtype() != self.network.dtype {
            let describe =
                |dtype: swift_tensor::DType, shape: &[usize]| format!("`{}` {shape:?}", dtype.as_str());
            return Err(Error::StageOutput {
                stage: self.stage,
                architecture: architecture.name.clone(),
                got: describe(output.dtype(), output.dims()),
                expected: describe(self.network.dtype, &expected),
            });
        }
        Ok(output)
    }

    /// Computes the stage without keeping what only its way back needs; that is computed again then.
    ///
    /// # Errors
    /// As [`Self::run`]. On the way back, errors are those of `swift_tensor`.
    pub(crate) fn run_recomputed(self, input: Option<&Tensor>) -> Result<Tensor> {
        let trains = self.network.trains(self.stage, self.options.adapters);
        // The tape carries its own errors only; this keeps ours whole on the way there.
        let failure = Arc::new(Mutex::new(None));
        let kept = failure.clone();
        let segment = move |input: Option<&Tensor>| {
            self.run(input).map_err(|error| match error {
                Error::Tensor(error) => error,
                Error::Plugin(error) if matches!(*error, swift_runtime::Error::Tensor { .. }) => {
                    (*error).into()
                }
                other => {
                    let message = other.to_string();
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(other);
                    swift_tensor::Error::Other(message)
                }
            })
        };
        checkpoint(input, trains, Arc::new(segment)).map_err(|error| {
            let kept = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            kept.unwrap_or(Error::Tensor(error))
        })
    }
}
