//! `batch-view`: what a loss looks at.

use std::sync::Arc;

use swift_tensor::Tensor;
use wasmtime::component::Resource;

use super::{Result, view};
use crate::bindings::batch_view::{Batch, Host, HostBatch, HostOutputs, Outputs};
use crate::bindings::tensor::Tensor as Handle;
use crate::store::State;
use crate::views::{BatchView, OutputsView};

/// Handles to the views of a call.
pub(crate) const BATCH: u32 = 0;
pub(crate) const POLICY: u32 = 0;
pub(crate) const REFERENCE: u32 = 1;
const TEACHER: u32 = 2;

impl Host for State {}

impl State {
    fn batch(&self) -> wasmtime::Result<Arc<dyn BatchView>> {
        view(&self.views.batch)
    }

    fn of_batch(&mut self, f: impl FnOnce(&dyn BatchView) -> Tensor) -> wasmtime::Result<Resource<Handle>> {
        let batch = self.batch()?;
        let tensor = self.on_host_time(|_| f(&*batch));
        Ok(self.lend(tensor)?)
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
        outputs: Resource<Outputs>,
        f: impl FnOnce(&dyn OutputsView) -> swift_tensor::Result<Tensor>,
    ) -> Result<Resource<Handle>> {
        let outputs = self.outputs(&outputs)?;
        let tensor = self.on_host_time(|_| f(&*outputs))?;
        Ok(self.lend(tensor)?)
    }
}

impl HostBatch for State {
    fn labels(&mut self, _: Resource<Batch>) -> wasmtime::Result<Resource<Handle>> {
        self.of_batch(|batch| batch.labels())
    }

    fn label_mask(&mut self, _: Resource<Batch>) -> wasmtime::Result<Resource<Handle>> {
        self.of_batch(|batch| batch.label_mask())
    }

    fn loss_weights(&mut self, _: Resource<Batch>) -> wasmtime::Result<Resource<Handle>> {
        self.of_batch(|batch| batch.loss_weights())
    }

    fn segment_ids(&mut self, _: Resource<Batch>) -> wasmtime::Result<Resource<Handle>> {
        self.of_batch(|batch| batch.segment_ids())
    }

    fn sequence_lengths(&mut self, _: Resource<Batch>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.batch()?.sequence_lengths())
    }

    fn group_lengths(&mut self, _: Resource<Batch>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.batch()?.group_lengths())
    }

    fn field(&mut self, _: Resource<Batch>, name: String) -> wasmtime::Result<Option<Resource<Handle>>> {
        let field = self.batch()?.field(&name);
        Ok(field.map(|field| self.lend(field)).transpose()?)
    }

    fn token_field(
        &mut self,
        _: Resource<Batch>,
        name: String,
    ) -> wasmtime::Result<Option<Resource<Handle>>> {
        let field = self.batch()?.token_field(&name);
        Ok(field.map(|field| self.lend(field)).transpose()?)
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
        self.of_outputs(outputs, |outputs| outputs.token_logps())
    }

    fn predictions(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs(outputs, |outputs| outputs.predictions())
    }

    fn entropies(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs(outputs, |outputs| outputs.entropies())
    }

    fn mean_logits(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs(outputs, |outputs| outputs.mean_logits())
    }

    fn logits(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs(outputs, |outputs| outputs.logits())
    }

    fn vocab_size(&mut self, outputs: Resource<Outputs>) -> Result<u64> {
        let outputs = self.outputs(&outputs)?;
        Ok(self.on_host_time(|_| outputs.vocab_size())?)
    }

    fn hidden(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs(outputs, |outputs| outputs.hidden())
    }

    fn last_hidden(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs(outputs, |outputs| outputs.last_hidden())
    }

    fn scores(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs(outputs, |outputs| outputs.scores())
    }

    fn token_scores(&mut self, outputs: Resource<Outputs>) -> Result<Resource<Handle>> {
        self.of_outputs(outputs, |outputs| outputs.token_scores())
    }

    /// Outputs are only lent.
    fn drop(&mut self, _: Resource<Outputs>) -> wasmtime::Result<()> {
        Ok(())
    }
}
