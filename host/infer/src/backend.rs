//! What an engine computes with.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use swift_model::{Continuation, ForwardOptions, Model, ServedAdapter, Tokens};
use swift_tensor::fused::{PagedBatch, PagedCache};
use swift_tensor::{DType, no_grad, read_back};

use crate::graphs::{GraphStatistics, Graphs};
use crate::{Error, Result};

/// A step of all sequences that take part in it.
pub struct Step {
    /// New tokens, the sequences end to end.
    pub ids: Vec<u32>,
    /// The sequences, in the order of the tokens.
    pub sequences: PagedBatch,
    /// How many tokens each adapter works on, one part after the other.
    pub adapters: Vec<(usize, Option<String>)>,
    /// The tokens whose logits are wanted.
    pub rows: Vec<u32>,
}

/// A model with a cache. An engine decides what is in which block.
pub trait Backend: Send {
    /// Number of token ids.
    fn vocab_size(&self) -> usize;

    /// Blocks of the cache, and tokens of each.
    fn cache_size(&self) -> (usize, usize);

    /// Computes new tokens, whose keys and values are in the cache afterwards: logits `[rows, vocab]`.
    ///
    /// # Errors
    /// If the model fails; nothing is known of the blocks that were to be written then.
    fn forward(&mut self, step: Step) -> Result<Vec<f32>>;

    /// Copies a block of the cache into another one.
    ///
    /// # Errors
    /// If there is no such block.
    fn copy_block(&mut self, from: u32, to: u32) -> Result<()>;

    /// The mean of the last hidden states of a text, or the last one's: `[hidden_size]`.
    ///
    /// # Errors
    /// If the model fails.
    fn embed(&mut self, prompt: &[u32], pooling: Pooling) -> Result<Vec<f32>>;

    /// Names of the adapters that there are.
    fn adapters(&self) -> Vec<String>;

    /// Reads an adapter under a name that requests can give.
    ///
    /// # Errors
    /// If there is one of this name, or it does not fit the model.
    fn load_adapter(&mut self, name: &str, folder: &Path) -> Result<()>;

    /// Forgets an adapter.
    ///
    /// # Errors
    /// If there is none of this name.
    fn unload_adapter(&mut self, name: &str) -> Result<()>;
}

/// How hidden states of a text become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The last token's, as decoders are trained to embed.
    #[default]
    Last,
    /// The mean of all tokens'.
    Mean,
}

/// A model, its cache, and the adapters that requests may name.
pub struct ModelBackend {
    model: Model,
    cache: Arc<PagedCache>,
    /// The adapter that is part of the model: requests that name none are answered with it.
    own: Option<ServedAdapter>,
    adapters: BTreeMap<String, ServedAdapter>,
    /// The most tokens of a sequence.
    context_length: usize,
    /// The steps that are repeated, if any are to be.
    graphs: Option<Graphs>,
}

impl ModelBackend {
    /// A model with a cache of so many blocks of `block_size` tokens, for sequences of at most `context_length`.
    ///
    /// # Errors
    /// If a size is zero.
    pub fn new(model: Model, blocks: usize, block_size: usize, context_length: usize) -> Result<Self> {
        let cache = model.new_cache(blocks, block_size)?;
        Ok(Self {
            own: model.own_adapter(),
            model,
            cache,
            adapters: BTreeMap::new(),
            context_length,
            graphs: None,
        })
    }

    /// Has steps that differ in their numbers alone recorded and repeated, as CUDA graphs. The weights must stay as they are then.
    ///
    /// # Errors
    /// If the model is not on a device that can.
    pub fn with_graphs(mut self) -> Result<Self> {
        if !self.model.repeats_steps() {
            return Err(Error::NoGraphs);
        }
        self.graphs = Some(Graphs::new());
        Ok(self)
    }

    /// How often steps were repeated, and how often not.
    pub fn graph_statistics(&self) -> GraphStatistics {
        self.graphs.as_ref().map_or_else(GraphStatistics::default, |graphs| graphs.statistics.clone())
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// A step with the adapters that it names.
    fn continuation(&self, step: &Step) -> Result<Continuation<'_>> {
        let adapters = step.adapters.iter().map(|(count, name)| match name {
            Some(name) => match self.adapters.get(name) {
                Some(adapter) => Ok((*count, Some(adapter))),
                None => Err(Error::UnknownAdapter(name.clone())),
            },
            None => Ok((*count, self.own.as_ref())),
        });
        Ok(Continuation {
            ids: step.ids.clone(),
            sequences: step.sequences.clone(),
            adapters: adapters.collect::<Result<_>>()?,
            longest: self.context_length,
        })
    }

    /// Forgets what was recorded.
    fn forget_graphs(&mut self) {
        if let Some(graphs) = &mut self.graphs {
            graphs.forget();
        }
    }
}

impl Backend for ModelBackend {
    fn vocab_size(&self) -> usize {
        self.model.architecture().vocab_size as usize
    }

    fn cache_size(&self) -> (usize, usize) {
        let shape = self.cache.shape();
        (shape.blocks, shape.block_size)
    }

    fn forward(&mut self, step: Step) -> Result<Vec<f32>> {
        let mut graphs = self.graphs.take();
        let with = (&self.model, &self.cache);
        let repeated =
            graphs.as_mut().and_then(|graphs| graphs.logits(with, &step, || self.continuation(&step)));
        self.graphs = graphs;
        if let Some(logits) = repeated {
            return Ok(logits);
        }
        let hidden = self.model.forward_cached(&self.cache, self.continuation(&step)?)?;
        if step.rows.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.model.logits(&hidden, &step.rows)?)
    }

    fn copy_block(&mut self, from: u32, to: u32) -> Result<()> {
        Ok(self.cache.copy_block(from, to)?)
    }

    fn embed(&mut self, prompt: &[u32], pooling: Pooling) -> Result<Vec<f32>> {
        let options = ForwardOptions { adapters: false, dropout_seed: None, recompute: false };
        let count = prompt.len() as u32;
        let tokens =
            Tokens { ids: prompt.to_vec(), position_ids: (0..count).collect(), lengths: vec![count] };
        let hidden = no_grad(|| self.model.forward(&tokens, options))?.cast(DType::F32)?;
        let pooled = match pooling {
            Pooling::Last => hidden.narrow(0, u64::from(count).saturating_sub(1), 1)?,
            Pooling::Mean => hidden.mean(&[0], true)?,
        };
        Ok(read_back(pooled.value())?)
    }

    fn adapters(&self) -> Vec<String> {
        self.adapters.keys().cloned().collect()
    }

    fn load_adapter(&mut self, name: &str, folder: &Path) -> Result<()> {
        if self.adapters.contains_key(name) {
            return Err(Error::AdapterExists(name.to_owned()));
        }
        self.adapters.insert(name.to_owned(), self.model.read_adapter(folder)?);
        self.forget_graphs();
        Ok(())
    }

    fn unload_adapter(&mut self, name: &str) -> Result<()> {
        self.forget_graphs();
        match self.adapters.remove(name) {
            Some(_) => Ok(()),
            None => Err(Error::UnknownAdapter(name.to_owned())),
        }
    }
}
