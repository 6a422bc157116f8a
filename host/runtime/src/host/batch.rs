use std::sync::Arc;

use swift_tensor::{Error as TensorError, Result as TensorResult, Tensor};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::batch_view::{Host, HostBatch, HostOutputs};
use crate::state::{BatchHandle, OutputsHandle, State, TensorHandle, released};
use crate::{BatchView, OutputsView};

type TensorOutcome = std::result::Result<Resource<TensorHandle>, TensorError>;

impl Host for State {}

impl State {
    fn batch(&self, handle: &Resource<BatchHandle>) -> Result<Arc<dyn BatchView>> {
        Ok(self.batches.get(handle.rep()).cloned().ok_or_else(released)?)
    }

    /// A column of the batch. Being out of budget is a trap here: the contract has no error for it.
    fn column(
        &mut self,
        handle: &Resource<BatchHandle>,
        f: impl FnOnce(&dyn BatchView) -> Tensor,
    ) -> Result<Resource<TensorHandle>> {
        let batch = self.batch(handle)?;
        Ok(self.on_host(|state| state.lend(f(&*batch)))?)
    }

    fn output(
        &mut self,
        handle: &Resource<OutputsHandle>,
        f: impl FnOnce(&dyn OutputsView) -> TensorResult<Tensor>,
    ) -> TensorOutcome {
        let outputs = self.outputs.get(handle.rep()).cloned().ok_or_else(released)?;
        self.on_host(|state| state.lend(f(&*outputs)?))
    }
}

impl HostBatch for State {
    fn labels(&mut self, this: Resource<BatchHandle>) -> Result<Resource<TensorHandle>> {
        self.column(&this, |batch| batch.labels())
    }

    fn label_mask(&mut self, this: Resource<BatchHandle>) -> Result<Resource<TensorHandle>> {
        self.column(&this, |batch| batch.label_mask())
    }

    fn loss_weights(&mut self, this: Resource<BatchHandle>) -> Result<Resource<TensorHandle>> {
        self.column(&this, |batch| batch.loss_weights())
    }

    fn segment_ids(&mut self, this: Resource<BatchHandle>) -> Result<Resource<TensorHandle>> {
        self.column(&this, |batch| batch.segment_ids())
    }

    fn sequence_lengths(&mut self, this: Resource<BatchHandle>) -> Result<Vec<u32>> {
        Ok(self.batch(&this)?.sequence_lengths())
    }

    fn field(&mut self, this: Resource<BatchHandle>, name: String) -> Result<Option<Resource<TensorHandle>>> {
        let field = self.batch(&this)?.field(&name);
        Ok(field.map(|field| self.lend(field)).transpose()?)
    }

    fn global_token_count(&mut self, this: Resource<BatchHandle>) -> Result<u64> {
        Ok(self.batch(&this)?.global_token_count())
    }

    fn global_sequence_count(&mut self, this: Resource<BatchHandle>) -> Result<u64> {
        Ok(self.batch(&this)?.global_sequence_count())
    }

    fn step(&mut self, this: Resource<BatchHandle>) -> Result<u64> {
        Ok(self.batch(&this)?.step())
    }

    fn training(&mut self, this: Resource<BatchHandle>) -> Result<bool> {
        Ok(self.batch(&this)?.training())
    }

    fn drop(&mut self, handle: Resource<BatchHandle>) -> Result<()> {
        self.batches.take(handle.rep());
        Ok(())
    }
}

impl HostOutputs for State {
    fn token_logps(&mut self, this: Resource<OutputsHandle>) -> TensorOutcome {
        self.output(&this, |outputs| outputs.token_logps())
    }

    fn predictions(&mut self, this: Resource<OutputsHandle>) -> TensorOutcome {
        self.output(&this, |outputs| outputs.predictions())
    }

    fn entropies(&mut self, this: Resource<OutputsHandle>) -> TensorOutcome {
        self.output(&this, |outputs| outputs.entropies())
    }

    fn mean_logits(&mut self, this: Resource<OutputsHandle>) -> TensorOutcome {
        self.output(&this, |outputs| outputs.mean_logits())
    }

    fn logits(&mut self, this: Resource<OutputsHandle>) -> TensorOutcome {
        self.output(&this, |outputs| outputs.logits())
    }

    fn hidden(&mut self, this: Resource<OutputsHandle>) -> TensorOutcome {
        self.output(&this, |outputs| outputs.hidden())
    }

    fn drop(&mut self, handle: Resource<OutputsHandle>) -> Result<()> {
        self.outputs.take(handle.rep());
        Ok(())
    }
}
