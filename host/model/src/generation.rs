//! Continuing sequences whose earlier tokens are in a cache.

use std::path::Path;
use std::sync::Arc;

use swift_tensor::fused::{self, CacheShape, PagedBatch, PagedCache};
use swift_tensor::{DType, HostNumbers, Tensor, no_grad, read_back};

use crate::adapter::{Adapter, adapter_dtype};
use crate::batch::{Batch, Cached, Tokens};
use crate::model::ForwardOptions;
use crate::{Error, Model, Result};

/// An adapter that was read and is used without being part of the model, so that several can be.
#[derive(Clone)]
pub struct ServedAdapter(Arc<Adapter>);

/// Tokens to be added to sequences.
pub struct Continuation<'a> {
    /// Ids of the new tokens, `[tokens]`, the sequences end to end.
    pub ids: Vec<u32>,
    /// The sequences, in the order of the tokens.
    pub sequences: PagedBatch,
    /// How many tokens each adapter works on, one part after the other; together all tokens.
    pub adapters: Vec<(usize, Option<&'a ServedAdapter>)>,
    /// The most tokens that a sequence of the cache may come to have. Rotary tables that depend on the length are those of this
    /// one, so that all keys are rotated alike.
    pub longest: usize,
}

/// The sizes that a step is made up to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Padding {
    /// New tokens. What is missing are sequences of one token each, which leave the cache as it is.
    pub(crate) tokens: usize,
    /// Blocks of all sequences together, for which there is to be room.
    pub(crate) blocks: usize,
}

impl Model {
    /// A cache for this model with so many blocks, each of `block_size` tokens.
    ///
    /// # Errors
    /// If a size is zero.
    pub fn new_cache(&self, blocks: usize, block_size: usize) -> Result<Arc<PagedCache>> {
        Ok(Arc::new(PagedCache::new(self.cache_shape(blocks, block_size), self.dtype(), self.device())?))
    }

    /// The sizes that such a cache has.
    pub fn cache_shape(&self, blocks: usize, block_size: usize) -> CacheShape {
        let architecture = self.architecture();
        CacheShape {
            layers: architecture.cache_layers as usize,
            blocks,
            block_size,
            kv_heads: architecture.kv_heads as usize,
            head_dim: architecture.head_dim as usize,
            value_dim: architecture.cached_values.unwrap_or(architecture.head_dim) as usize,
        }
    }

    /// The adapter that is part of the model, to be used as those that are not; it changes as the model is trained.
    pub fn own_adapter(&self) -> Option<ServedAdapter> {
        self.network().adapter.clone().map(ServedAdapter)
    }

    /// Reads the adapter that PEFT or this program wrote into `folder`.
    ///
    /// # Errors
    /// If the files are broken, of an unsupported kind, or don't fit the model.
    pub fn read_adapter(&self, folder: &Path) -> Result<ServedAdapter> {
        let network = self.network();
        let dtype = adapter_dtype(network.dtype);
        let adapter = Adapter::read(folder, false, &network.architecture, dtype, self.device())?;
        Ok(ServedAdapter(Arc::new(adapter)))
    }

    /// The hidden states `[tokens, hidden_size]` of tokens that continue sequences; their keys and values are in `cache`
    /// afterwards.
    ///
    /// # Errors
    /// As [`Model::forward`], and if the sequences don't fit the cache.
    pub fn forward_cached(&self, cache: &Arc<PagedCache>, step: Continuation<'_>) -> Result<Tensor> {
        self.hidden_states(Arc::new(self.continued(cache, step, None)?))
    }

    /// The batch of a step, maybe made up to the sizes of a larger one.
    pub(crate) fn continued(
        &self,
        cache: &Arc<PagedCache>,
        step: Continuation<'_>,
        padding: Option<Padding>,
    ) -> Result<Batch> {
        let Continuation { mut ids, sequences, mut adapters, longest } = step;
        let all = &sequences.sequences;
        let positions = all.iter().flat_map(|sequence| {
            (sequence.length.saturating_sub(sequence.count)..sequence.length).map(|position| position as u32)
        });
        let mut position_ids: Vec<u32> = positions.collect();
        let mut lengths: Vec<u32> = all.iter().map(|sequence| sequence.count as u32).collect();
        let more = padding.map_or(0, |padding| padding.tokens.saturating_sub(ids.len()));
        ids.extend(std::iter::repeat_n(0, more));
        position_ids.extend(std::iter::repeat_n(0, more));
        lengths.extend(std::iter::repeat_n(1, more));
        if let Some((count, _)) = adapters.last_mut() {
            *count += more;
        }
        let tokens = Tokens { ids, position_ids, lengths };
        if adapters.iter().map(|(count, _)| count).sum::<usize>() != tokens.ids.len() {
            return Err(Error::Batch("names adapters for another number of tokens than it has".into()));
        }
        let network = self.network();
        let mut batch = Batch::new(&tokens, &network.architecture, network.dtype, Some(longest as u64))?;
        let step = cache.step(sequences)?;
        let step = match padding {
            Some(Padding { tokens, blocks }) => step.padded(tokens, blocks),
            None => step,
        };
        let adapters =
            adapters.into_iter().map(|(count, adapter)| (count, adapter.map(|adapter| adapter.0.clone())));
        batch.cached = Some(Cached { cache: cache.clone(), step, adapters: adapters.collect() });
        Ok(batch)
    }

    /// The hidden states of a batch that continues sequences.
    pub(crate) fn hidden_states(&self, batch: Arc<Batch>) -> Result<Tensor> {
        let options = ForwardOptions { adapters: false, dropout_seed: None, recompute: false };
        Ok(no_grad(|| self.run_stages(batch, options, false))?.0)
    }

    /// Logits `[rows, vocab]` in `float32` of some rows of hidden states.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn logits(&self, hidden: &Tensor, rows: &[u32]) -> Result<Vec<f32>> {
        Ok(read_back(self.logits_of(hidden, &HostNumbers::new(rows.to_vec()))?.value())?)
    }

    /// The same where they are computed.
    pub(crate) fn logits_of(&self, hidden: &Tensor, rows: &HostNumbers<u32>) -> Result<Tensor> {
        Ok(no_grad(|| self.network().logits(&fused::rows(hidden, rows)?)?.cast(DType::F32))?)
    }
}
