//! Steps that differ in their numbers alone, computed by recorded work.

use std::sync::Arc;

use swift_tensor::fused::PagedCache;
use swift_tensor::{DType, Graph, HostNumbers, Value, copy_into, read_back, rehearse};

use crate::batch::Batch;
use crate::generation::Padding;
use crate::{Continuation, Error, Model, Result};

/// A step of one new token for each of some sequences, which is to be computed again with other tokens and sequences: the first time
/// as any other, the second time recorded, and then without the model's definition.
///
/// It is to be dropped when adapters or weights are put elsewhere, and before the model and the cache are.
pub struct RepeatedStep {
    /// What was computed last; its numbers lie where those of all lie.
    batch: Arc<Batch>,
    rows: Arc<HostNumbers<u32>>,
    /// `[tokens, vocab]`.
    logits: Value,
    padding: Padding,
    graph: Option<Graph>,
}

impl Model {
    /// Whether steps can be recorded where the model is.
    pub fn repeats_steps(&self) -> bool {
        Graph::is_for(self.device())
    }

    /// Memory for the logits of so many rows, `float32`.
    ///
    /// # Errors
    /// If the device has not as much.
    pub fn logits_memory(&self, rows: usize) -> Result<Value> {
        let shape = (rows, self.architecture().vocab_size as usize);
        Ok(Value::zeros(shape, DType::F32, self.device()).map_err(swift_tensor::Error::from)?)
    }
}

impl RepeatedStep {
    /// Computes a step for the first time, made up to as many tokens as `logits` `[tokens, vocab]` has room for. `rows` are the tokens
    /// whose logits are wanted. Also says what of it can't be recorded, if there is something.
    ///
    /// # Errors
    /// As [`Model::forward_cached`] and [`Model::logits`].
    pub fn begin(
        model: &Model,
        cache: &Arc<PagedCache>,
        step: Continuation<'_>,
        rows: &[u32],
        logits: Value,
    ) -> Result<(Self, Option<String>)> {
        let tokens = logits.dims().first().copied().unwrap_or_default();
        let shape = cache.shape();
        let blocks = step.longest.div_ceil(shape.block_size).min(shape.blocks);
        let padding = Padding { tokens, blocks: tokens * blocks };
        let batch = model.continued(cache, step, Some(padding))?;
        let rows = padded(rows, tokens)?;
        batch.send(model.device(), None)?;
        rows.send(model.device())?;
        let step = Self { batch: Arc::new(batch), rows: Arc::new(rows), logits, padding, graph: None };
        let (done, obstacle) = rehearse(|| step.compute(model));
        done?;
        Ok((step, obstacle))
    }

    /// Computes a step of the same sizes with the same adapters.
    ///
    /// # Errors
    /// As [`Self::begin`], if sizes are others, or it can't be recorded.
    pub fn again(
        &mut self,
        model: &Model,
        cache: &Arc<PagedCache>,
        step: Continuation<'_>,
        rows: &[u32],
    ) -> Result<()> {
        let batch = model.continued(cache, step, Some(self.padding))?;
        let rows = padded(rows, self.padding.tokens)?;
        batch.send(model.device(), Some(&self.batch))?;
        rows.replace(&self.rows)?;
        (self.batch, self.rows) = (Arc::new(batch), Arc::new(rows));
        let graph = match self.graph.take() {
            Some(graph) => graph,
            None => Graph::record(model.device(), || self.compute(model))?,
        };
        Ok(self.graph.insert(graph).launch()?)
    }

    /// Whether it has been recorded.
    pub fn is_recorded(&self) -> bool {
        self.graph.is_some()
    }

    /// Logits `[rows, vocab]` of the first `rows` that were wanted.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn logits(&self, rows: usize) -> Result<Vec<f32>> {
        let wanted = self.logits.narrow(0, 0, rows).map_err(swift_tensor::Error::from)?;
        Ok(read_back(&wanted)?)
    }

    fn compute(&self, model: &Model) -> Result<()> {
        let hidden = model.hidden_states(self.batch.clone())?;
        Ok(copy_into(model.logits_of(&hidden, &self.rows)?.value(), &self.logits)?)
    }
}

/// As many rows as there are tokens.
fn padded(rows: &[u32], tokens: usize) -> Result<HostNumbers<u32>> {
    if rows.len() > tokens {
        return Err(Error::Batch(format!("wants the logits of {} of {tokens} tokens", rows.len())));
    }
    let mut all = rows.to_vec();
    all.resize(tokens, 0);
    Ok(HostNumbers::new(all).below(tokens)?)
}
