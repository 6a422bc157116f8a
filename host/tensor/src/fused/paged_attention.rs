use std::sync::{Mutex, PoisonError};

use half::bf16;
use swift_kernels::attention::AttentionOptions;
use swift_kernels::attention::paged::{self, PagedInputs, PagedSequence, PagedShape};

use super::attention::sink_scores;
use crate::storage::{Real, make, read, zeros};
use crate::{DType, Error, Result, Tensor, checks};

/// How a cache of keys and values is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers, each with blocks of its own under the same numbers.
    pub layers: usize,
    /// Blocks of each layer.
    pub blocks: usize,
    /// Tokens of a block.
    pub block_size: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Components of each head.
    pub head_dim: usize,
}

impl CacheShape {
    /// Elements of a block's keys, and as many of its values.
    fn block(&self) -> usize {
        self.block_size * self.kv_heads * self.head_dim
    }

    /// Bytes of a block in all layers, keys and values.
    pub fn block_bytes(&self, dtype: DType) -> usize {
        2 * self.layers * self.block() * dtype.size_in_bytes()
    }
}

/// Keys and values of tokens that were computed before, in blocks: `[blocks, block_size, kv_heads, head_dim]` for each layer.
/// Which block belongs to which sequence is the caller's to know.
pub struct PagedCache {
    shape: CacheShape,
    layers: Layers,
}

/// One type for all layers.
enum Layers {
    F32(Vec<Mutex<Layer<f32>>>),
    F64(Vec<Mutex<Layer<f64>>>),
    Bf16(Vec<Mutex<Layer<bf16>>>),
}

struct Layer<T> {
    keys: Vec<T>,
    values: Vec<T>,
}

impl<T: Real> Layer<T> {
    /// Memory of zeros that the system hands out page by page, so that an unused part of a cache costs nothing.
    fn all(shape: &CacheShape) -> Vec<Mutex<Self>> {
        let size = shape.blocks * shape.block();
        let layer = |_| Mutex::new(Self { keys: zeros(size), values: zeros(size) });
        (0..shape.layers).map(layer).collect()
    }
}

/// The sequences of a step, and where their new tokens go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagedBatch {
    /// In the order of the step's tokens.
    pub sequences: Vec<PagedTokens>,
}

/// One sequence of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagedTokens {
    /// Tokens of this step, the last of `length`.
    pub count: usize,
    /// Tokens that are in the cache once this step is done.
    pub length: usize,
    /// The blocks that hold them, in order.
    pub blocks: Vec<u32>,
}

impl PagedBatch {
    /// The place of each token of the step in a layer of blocks of `block_size`.
    fn slots(&self, block_size: usize) -> Result<Vec<usize>> {
        let mut slots = Vec::new();
        for sequence in &self.sequences {
            for position in sequence.length.saturating_sub(sequence.count)..sequence.length {
                let block = sequence.blocks.get(position / block_size);
                let block = block
                    .ok_or_else(|| Error::invalid(OP, "a sequence has more tokens than its blocks hold"))?;
                slots.push(*block as usize * block_size + position % block_size);
            }
        }
        Ok(slots)
    }
}

const OP: &str = "attention";

/// Runs `$body` with `$layers` bound to the layers, whatever their type.
macro_rules! with_layers {
    ($cache:expr, $layers:ident => $body:expr) => {
        match &$cache.layers {
            Layers::F32($layers) => $body,
            Layers::F64($layers) => $body,
            Layers::Bf16($layers) => $body,
        }
    };
}

impl PagedCache {
    /// An empty cache.
    ///
    /// # Errors
    /// If `dtype` is not one that attention is computed in, or a size is zero.
    pub fn new(shape: CacheShape, dtype: DType) -> Result<Self> {
        let CacheShape { layers, blocks, .. } = shape;
        if layers.min(blocks).min(shape.block()) == 0 {
            return Err(Error::invalid(OP, "a cache needs layers, blocks and heads"));
        }
        let layers = match dtype {
            DType::F32 => Layers::F32(Layer::all(&shape)),
            DType::F64 => Layers::F64(Layer::all(&shape)),
            DType::BF16 => Layers::Bf16(Layer::all(&shape)),
            other => return Err(Error::unsupported_dtype(OP, other)),
        };
        Ok(Self { shape, layers })
    }

    /// Its sizes.
    pub fn shape(&self) -> &CacheShape {
        &self.shape
    }

    /// Copies what the block `from` holds into the block `to`, in every layer.
    ///
    /// # Errors
    /// If there is no such block.
    pub fn copy_block(&self, from: u32, to: u32) -> Result<()> {
        let size = self.shape.block();
        let range = |block: u32| {
            let start = block as usize * size;
            ((block as usize) < self.shape.blocks).then_some(start..start + size)
        };
        let (Some(from), Some(to)) = (range(from), range(to)) else {
            return Err(Error::invalid(OP, format!("the cache has {} blocks", self.shape.blocks)));
        };
        with_layers!(self, layers => for layer in layers {
            let mut layer = layer.lock().unwrap_or_else(PoisonError::into_inner);
            layer.keys.copy_within(from.clone(), to.start);
            layer.values.copy_within(from.clone(), to.start);
        });
        Ok(())
    }

    /// Puts the step's keys and values into the cache and attends to all that their sequences have there: `q` `[tokens,
    /// heads, head_dim]`, `k` and `v` `[tokens, kv_heads, head_dim]`, to `[tokens, heads, head_dim]`. There is no way back
    /// through it.
    ///
    /// # Errors
    /// If shapes or types don't fit, or a sequence names blocks that are not there.
    pub fn attention(
        &self,
        layer: usize,
        qkv: [&Tensor; 3],
        batch: &PagedBatch,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        self.attention_with_sinks(layer, qkv, None, batch, options)
    }

    /// As [`Self::attention`], where each head also attends to a sink: a score of `sinks` `[heads]`, and a value of zero.
    /// Values that have fewer components than keys are kept with zeros.
    ///
    /// # Errors
    /// As [`Self::attention`], and if there is not one sink for each head.
    pub fn attention_with_sinks(
        &self,
        layer: usize,
        [q, k, v]: [&Tensor; 3],
        sinks: Option<&Tensor>,
        batch: &PagedBatch,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        if let Some(wide) = super::attention::widened(v, self.shape.head_dim)? {
            let width = v.dims().last().copied().unwrap_or_default();
            let y = self.attention_with_sinks(layer, [q, k, &wide], sinks, batch, options)?;
            return y.narrow(2, 0, width as u64);
        }
        let &[tokens, heads, head_dim] = q.dims() else { return Err(Error::shapes(OP, q.dims(), k.dims())) };
        let CacheShape { block_size, kv_heads, .. } = self.shape;
        checks::same_shape(OP, k.dims(), &[tokens, kv_heads, self.shape.head_dim])?;
        checks::same_shape(OP, v.dims(), k.dims())?;
        checks::same_shape(OP, &[head_dim], &[self.shape.head_dim])?;
        let slots = batch.slots(block_size)?;
        let shape = PagedShape { heads, kv_heads, head_dim, block_size };
        let sequences: Vec<_> = batch
            .sequences
            .iter()
            .map(|sequence| PagedSequence {
                queries: sequence.count,
                length: sequence.length,
                blocks: &sequence.blocks,
            })
            .collect();
        with_layers!(self, layers => {
            let layer = layers.get(layer).ok_or_else(|| Error::invalid(OP, format!("there is no layer {layer}")))?;
            let mut layer = layer.lock().unwrap_or_else(PoisonError::into_inner);
            attend(&mut layer, ([q, k, v], sinks), &slots, &sequences, &shape, options)
        })
    }
}

fn attend<T: Real<Compute: candle_core::WithDType>>(
    layer: &mut Layer<T>,
    ([q, k, v], sinks): ([&Tensor; 3], Option<&Tensor>),
    slots: &[usize],
    sequences: &[PagedSequence<'_>],
    shape: &PagedShape,
    options: &AttentionOptions,
) -> Result<Tensor> {
    let width = shape.kv_heads * shape.head_dim;
    for (x, cache) in [(k, &mut layer.keys), (v, &mut layer.values)] {
        read::<T, _>(x.value(), |x| Ok(paged::write(x, slots, width, cache)?))?;
    }
    let out = read::<T, _>(q.value(), |q| {
        let mut out = zeros::<T>(q.len());
        let inputs = PagedInputs { q, keys: &layer.keys, values: &layer.values };
        let sinks = sink_scores::<T::Compute>(sinks.map(Tensor::value))?;
        paged::forward_with_sinks(&inputs, sequences, shape, options, &sinks, &mut out)?;
        Ok(out)
    })?;
    Ok(Tensor::constant(make(out, q.dims())?))
}
