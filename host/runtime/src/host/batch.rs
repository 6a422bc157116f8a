//! `batch-view`: what a loss looks at.

use std::sync::Arc;

use swift_tensor::Tensor;
use wasmtime::component::Resource;

use super::{Failure, Result, view};
use crate::bindings::batch_view::{Batch, Host, HostBatch, HostOutputs, Outputs};
use crate::bindings::tensor::Tensor as Handle;
use crate::limits::Breach;
use crate::store::State;
use crate::trace::Given;
use crate::views::{BatchView, OutputsView};

/// Handles to the views of a call.
pub(crate) const BATCH: u32 = 0;
pub(crate) const POLICY: u32 = 0;
pub(crate) const REFERENCE: u32 = 1;
const TEACHER: u32 = 2;

impl Host for State {}

/// A tensor that may be there, and the handle or none that the plugin gets.
trait Lent {
    type Handle: Given;

    fn lend(self, state: &mut State) -> std::result::Result<Self::Handle, Breach>;
}

impl Lent for Tensor {
    type Handle = Resource<Handle>;

    fn lend(self, state: &mut State) -> std::result::Result<Self::Handle, Breach> {
        state.lend(self)
    }
}

impl Lent for Option<Tensor> {
    type Handle = Option<Resource<Handle>>;

    fn lend(self, state: &mut State) -> std::result::Result<Self::Handle, Breach> {
        self.map(|tensor| state.lend(tensor)).transpose()
    }
}

impl State {
    fn batch(&self) -> wasmtime::Result<Arc<dyn BatchView>> {
        view(&self.views.batch)
    }

    /// A tensor of the batch, or none.
    fn of_batch<T: Lent>(
        &mut self,
        name: &str,
        f: impl FnOnce(&dyn BatchView) -> T,
    ) -> wasmtime::Result<T::Handle> {
        let batch = self.batch()?;
        let lent = self.traced(name, &[], |state| {
            let tensor = state.on_host_time(|_| f(&*batch));
            Ok(tensor.lend(state)?)
        });
        lent.map_err(Failure::into_trap)
    }

    fn outputs(&self, outputs: &Resource<Outputs>) -> wasmtime::Result<Arc<dyn OutputsView>> {
        match outputs.rep() {
            TEACHER => view(&self.batch()?.teacher()),
            REFERENCE => view(&self.views.reference),
            _ => view(&self.views.policy),
        }
    }

    /// Computes an output. That may run a model plugin, which has a store of its own.
    fn of_outputs(
        &mut self,
        name: &str,
        outputs: Resource<Outputs>,
        f: impl FnOnce(&dyn OutputsView) -> swift_tensor::Result<Tensor>,
    ) -> Result<Resource<Handle>> {
        let outputs = self.outputs(&outputs)?;
        self.traced(name, &[], |state| {
            let tensor = state.on_host_time(|_| f(&*outputs))?;
            Ok(state.lend(tensor)?)
        })
    }
}

impl HostBatch for State {
    fn labels(&mut self, _: Resource<Batch>) -> wasmtime::Result<Resource<Handle>> {
        self.of_batch("batch.labels", |batch| batch.labels())
    }

    fn label_mask(&mut self, _: Resource<Batch>) -> wasmtime::Result<Resource<Handle>> {
        self.of_batch("batch.label_mask", |batch| batch.label_mask())
    }

    fn loss_weights(&mut self, _: Resource<Batch>) -> wasmtime::Result<Resource<Handle>> {
        self.of_batch("batch.loss_weights", |batch| batch.loss_weights())
    }

    fn segment_ids(&mut self, _: Resource<Batch>) -> wasmtime::Result<Resource<Handle>> {
        self.of_batch("batch.segment_ids", |batch| batch.segment_ids())
    }

    fn sequence_lengths(&mut self, _: Resource<Batch>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.batch()?.sequence_lengths())
    }

    fn group_lengths(&mut self, _: Resource<Batch>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.batch()?.group_lengths())
    }

    fn field(&mut self, _: Resource<Batch>, name: String) -> wasmtime::Result<Option<Resource<Handle>>> {
        self.of_batch("batch.field", |batch| batch.field(&name))
    }

    fn token_field(
        &mut self,
        _: Resource<Batch>,
        name: String,
    ) -> wasmtime::Result<Option<Resource<Handle>>> {
        self.of_batch("batch.token_field", |batch| batch.token_field(&name))
    }

    fn teacher(&mut self, _: Resource<Batch>) -> wasmtime::Result<Option<Resource<Outputs>>> {
        Ok(self.batch()?.teacher().map(|_| Resource::new_own(TEACHER)))
    }

    fn global_token_count(&mut self, _: Resource<Batch>) -> wasmtime::Result<u64> {
        Ok(self.batch()?.global_token_count())
    }

    fn global_sequence_count(&mut self, _: Resource<Batch>) -> wasmtime::Result<u64> {
        Ok(self.batch()?.global_sequence_count())
    }

    fn global_row_count(&mut self, _: Resource<Batch>) -> wasmtime::Result<u64> {
        Ok(self.batch()?.global_row_count())
    }

    fn global_batch_count(&mut self, _: Resource<Batch>) -> wasmtime::Result<u64> {
        Ok(self.batch()?.global_batch_count())
    }

    fn step(&mut self, _: Resource<Batch>) -> wasmtime::Result<u64> {
        Ok(self.batch()?.step())
    }

    fn training(&mut self, _: Resource<Batch>) -> wasmtime::Result<bool> {
        Ok(self.batch()?.training())
    }

    /// Batches are only lent.
    fn drop(&mut self, _: Resource<Batch>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl HostOutputs for State {
    fn token_logps(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.token_logps", outputs, |outputs| outputs.token_logps())
    }

    fn predictions(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.predictions", outputs, |outputs| outputs.predictions())
    }

    fn entropies(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.entropies", outputs, |outputs| outputs.entropies())
    }

    fn mean_logits(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.mean_logits", outputs, |outputs| outputs.mean_logits())
    }

    fn logits(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.logits", outputs, |outputs| outputs.logits())
    }

    fn vocab_size(&mut self, outputs: Resource<Outputs>) -> Result<u64> {
        let outputs = self.outputs(&outputs)?;
        Ok(self.on_host_time(|_| outputs.vocab_size())?)
    }

    fn hidden(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.hidden", outputs, |outputs| outputs.hidden())
    }

    fn last_hidden(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.last_hidden", outputs, |outputs| outputs.last_hidden())
    }

    fn scores(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.scores", outputs, |outputs| outputs.scores())
    }

    fn token_scores(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs("outputs.token_scores", outputs, |outputs| outputs.token_scores())
    }

    /// Outputs are only lent.
    fn drop(&mut self, _: Resource<Outputs>) -> wasmtime::Result<()> {
        Ok(())
    }
}
