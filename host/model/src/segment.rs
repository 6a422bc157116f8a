//! One stage of a forward pass, which may be computed again on the way back.

use std::sync::{Arc, Mutex, PoisonError};

use swift_tensor::{Tensor, checkpoint};

use crate::batch::Batch;
use crate::context::{Aside, Context, HandedOver};
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
    /// Whether the batch is learned from.
    pub(crate) training: bool,
}

impl Segment {
    /// Computes the stage: `[tokens, hidden_size]`, and what it gives besides.
    ///
    /// # Errors
    /// If the definition fails, or gives something that is no hidden state.
    pub(crate) fn run(
        &self,
        input: Option<&Tensor>,
        handed_over: Vec<HandedOver>,
    ) -> Result<(Tensor, Aside)> {
        let ForwardOptions { adapters, dropout_seed, .. } = self.options;
        let context = Arc::new(Context {
            network: self.network.clone(),
            batch: self.batch.clone(),
            stage: self.stage,
            adapters,
            dropout_seed,
            training: self.training,
            handed_over,
            aside: Mutex::default(),
        });
        let mut definition = self.definition.lock().unwrap_or_else(PoisonError::into_inner);
        let output = definition.forward(self.stage, input, context.clone())?;
        let aside = std::mem::take(&mut *context.aside.lock().unwrap_or_else(PoisonError::into_inner));
        let architecture = &self.network.architecture;
        let expected = [self.batch.ids.host().len(), architecture.hidden_size as usize];
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
        Ok((output, aside))
    }

    /// Computes the stage without keeping what only its way back needs; that is computed again then.
    ///
    /// # Errors
    /// As [`Self::run`]. On the way back, errors are those of `swift_tensor`.
    pub(crate) fn run_recomputed(
        self,
        input: Option<&Tensor>,
        handed_over: &[HandedOver],
    ) -> Result<(Tensor, Aside)> {
        let trains = self.network.trains(self.stage, self.options.adapters);
        // The tape carries its own errors only; this keeps ours whole on the way there.
        let failure = Arc::new(Mutex::new(None));
        let kept = failure.clone();
        let (names, values): (Vec<String>, Vec<&Tensor>) =
            handed_over.iter().map(|(name, value)| (name.clone(), value)).unzip();
        let inputs: Vec<&Tensor> = input.into_iter().chain(values).collect();
        let has_input = input.is_some();
        let last_aside = Arc::new(Mutex::new(Aside::default()));
        let noted = last_aside.clone();
        let segment = move |inputs: &[Tensor]| {
            let (input, values) = inputs.split_at(usize::from(has_input).min(inputs.len()));
            let handed_over = names.iter().cloned().zip(values.iter().cloned()).collect();
            let (hidden, mut aside) = self.run(input.first(), handed_over).map_err(|error| match error {
                Error::Tensor(error) => error,
                Error::Plugin(error) if matches!(*error, swift_runtime::Error::Tensor { .. }) => {
                    (*error).into()
                }
                other => {
                    let message = other.to_string();
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(other);
                    swift_tensor::Error::Other(message)
                }
            })?;
            let outputs = [hidden].into_iter().chain(aside.tensors().map(|tensor| tensor.clone())).collect();
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = aside;
            Ok(outputs)
        };
        let outputs = checkpoint(&inputs, trains, Arc::new(segment)).map_err(|error| {
            let kept = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            kept.unwrap_or(Error::Tensor(error))
        })?;
        let mut aside = std::mem::take(&mut *last_aside.lock().unwrap_or_else(PoisonError::into_inner));
        let mut outputs = outputs.into_iter();
        let hidden = outputs.next().ok_or_else(|| Error::Batch("passed a stage without output".into()))?;
        aside.tensors().zip(outputs).for_each(|(tensor, output)| *tensor = output);
        Ok((hidden, aside))
    }
}
