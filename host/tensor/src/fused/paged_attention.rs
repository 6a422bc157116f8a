use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use swift_kernels::attention::AttentionOptions;
use swift_kernels::attention::paged::{self, PagedInputs, PagedSequence, PagedShape};

use super::attention::{HeadScores, sink_scores};
use crate::storage::{Real, make, on_device, read, zeros};
use crate::{DType, Device, Error, HostNumbers, Result, Tensor, checks};

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
    /// Components of each head's keys.
    pub head_dim: usize,
    /// Components of each head's values; none if they are a part of the keys.
    pub value_dim: usize,
}

impl CacheShape {
    /// Elements of a block's keys, and those of its values.
    fn block(&self) -> [usize; 2] {
        [self.head_dim, self.value_dim].map(|dim| self.block_size * self.kv_heads * dim)
    }

    /// Bytes of a block in all layers, keys and values.
    pub fn block_bytes(&self, dtype: DType) -> usize {
        self.layers * self.block().iter().sum::<usize>() * dtype.size_in_bytes()
    }
}

/// Keys and values of tokens that were computed before, in blocks: `[blocks, block_size, kv_heads, head_dim]` and `[.., value_dim]`
/// for each layer.
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
    F16(Vec<Mutex<Layer<f16>>>),
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    Device(Vec<Mutex<DeviceLayer>>),
}

/// Keys and values on a device.
#[cfg(any(feature = "cuda", feature = "emulation"))]
struct DeviceLayer {
    keys: crate::cuda::Buffer,
    values: crate::cuda::Buffer,
}

struct Layer<T> {
    keys: Vec<T>,
    values: Vec<T>,
}

impl<T: Real> Layer<T> {
    /// Memory of zeros that the system hands out page by page, so that an unused part of a cache costs nothing.
    fn all(shape: &CacheShape) -> Vec<Mutex<Self>> {
        let [keys, values] = shape.block().map(|size| shape.blocks * size);
        let layer = |_| Mutex::new(Self { keys: zeros(keys), values: zeros(values) });
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

/// A batch with the numbers that say where its tokens go and what they attend to, for all layers of a cache.
#[derive(Debug)]
pub struct PagedStep {
    batch: PagedBatch,
    /// The place of each token in a layer; negative for one that goes nowhere.
    slots: HostNumbers<i64>,
    /// The position of each token, and where the blocks of its sequence begin.
    places: HostNumbers<i64>,
    /// The blocks of all sequences, end to end.
    blocks: HostNumbers<i64>,
}

impl PagedStep {
    /// # Errors
    /// If a sequence names blocks that the cache has not, or too few.
    fn new(batch: PagedBatch, shape: &CacheShape) -> Result<Self> {
        let (mut slots, mut places, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
        for sequence in &batch.sequences {
            // Kernels don't look whether a block is there.
            if sequence.blocks.iter().any(|block| *block as usize >= shape.blocks) {
                return Err(Error::invalid(OP, format!("the cache has {} blocks", shape.blocks)));
            }
            let first = blocks.len() as i64;
            for position in sequence.length.saturating_sub(sequence.count)..sequence.length {
                let block = sequence
                    .blocks
                    .get(position / shape.block_size)
                    .ok_or_else(|| Error::invalid(OP, "a sequence has more tokens than its blocks hold"))?;
                slots.push((*block as usize * shape.block_size + position % shape.block_size) as i64);
                places.extend([position as i64, first]);
            }
            blocks.extend(sequence.blocks.iter().map(|&block| i64::from(block)));
        }
        let [slots, places, blocks] = [slots, places, blocks].map(HostNumbers::new);
        Ok(Self { batch, slots, places, blocks })
    }

    /// The same with tokens that go nowhere after its own, `tokens` in all, and room for as many blocks as `blocks`. What comes of
    /// these tokens has no meaning.
    #[must_use]
    pub fn padded(self, tokens: usize, blocks: usize) -> Self {
        let more = |numbers: HostNumbers<i64>, each: usize, number| {
            let mut all = numbers.host().to_vec();
            all.resize(all.len().max(tokens * each), number);
            HostNumbers::new(all)
        };
        // They attend to the first token of the first sequence.
        let (slots, places) = (more(self.slots, 1, -1), more(self.places, 2, 0));
        Self { slots, places, blocks: self.blocks.with_room(blocks), ..self }
    }

    /// Sends its numbers to `device`, to where those of `others` are if they are given.
    ///
    /// # Errors
    /// If the device has not as much memory, or there is no room for as many, or `others` are on no device.
    pub fn send(&self, device: &Device, others: Option<&Self>) -> Result<()> {
        let Self { slots, places, blocks, .. } = self;
        let Some(others) = others else {
            return [slots, places, blocks].into_iter().try_for_each(|numbers| numbers.send(device));
        };
        let pairs = [(slots, &others.slots), (places, &others.places), (blocks, &others.blocks)];
        pairs.into_iter().try_for_each(|(mine, others)| mine.replace(others))
    }

    fn sequences(&self) -> Vec<PagedSequence<'_>> {
        let each = self.batch.sequences.iter().map(|sequence| PagedSequence {
            queries: sequence.count,
            length: sequence.length,
            blocks: &sequence.blocks,
        });
        each.collect()
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
            Layers::F16($layers) => $body,
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            Layers::Device(_) => Err(Error::invalid(OP, "a cache on another device")),
        }
    };
}

impl PagedCache {
    /// An empty cache on `device`.
    ///
    /// # Errors
    /// If `dtype` is not one that attention is computed in, a size is zero, or the device has not as much memory.
    pub fn new(shape: CacheShape, dtype: DType, device: &Device) -> Result<Self> {
        let CacheShape { layers, blocks, .. } = shape;
        let [keys, _] = shape.block();
        if layers.min(blocks).min(keys) == 0 {
            return Err(Error::invalid(OP, "a cache needs layers, blocks and heads"));
        }
        let layers = on_device!(OP, device,
            cpu: match dtype {
                DType::F32 => Ok(Layers::F32(Layer::all(&shape))),
                DType::F64 => Ok(Layers::F64(Layer::all(&shape))),
                DType::BF16 => Ok(Layers::Bf16(Layer::all(&shape))),
                DType::F16 => Ok(Layers::F16(Layer::all(&shape))),
                other => Err(Error::unsupported_dtype(OP, other)),
            },
            cuda: DeviceLayer::all(&shape, dtype, device),
        )?;
        Ok(Self { shape, layers })
    }

    /// What a step of these sequences needs of all layers.
    ///
    /// # Errors
    /// If a sequence names blocks that are not there, or fewer than its tokens take.
    pub fn step(&self, batch: PagedBatch) -> Result<PagedStep> {
        PagedStep::new(batch, &self.shape)
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
        let [from, to] = [from, to].map(|block| block as usize);
        if from.max(to) >= self.shape.blocks {
            return Err(Error::invalid(OP, format!("the cache has {} blocks", self.shape.blocks)));
        }
        #[cfg(any(feature = "cuda", feature = "emulation"))]
        if let Layers::Device(layers) = &self.layers {
            return DeviceLayer::copy_block(layers, &self.shape, from, to);
        }
        let [keys, values] = self.shape.block();
        with_layers!(self, layers => {
            for layer in layers {
                let mut layer = layer.lock().unwrap_or_else(PoisonError::into_inner);
                layer.keys.copy_within(from * keys..(from + 1) * keys, to * keys);
                layer.values.copy_within(from * values..(from + 1) * values, to * values);
            }
            Ok(())
        })
    }

    /// Puts the step's keys and values into the cache and attends to all that their sequences have there: `q` `[tokens,
    /// heads, head_dim]`, `k` `[tokens, kv_heads, head_dim]` and `v` `[tokens, kv_heads, value_dim]`, to `[tokens, heads,
    /// value_dim]`. There is no way back through it.
    ///
    /// # Errors
    /// If shapes or types don't fit, or a sequence names blocks that are not there.
    pub fn attention(
        &self,
        layer: usize,
        qkv: [&Tensor; 3],
        step: &PagedStep,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        self.attention_with(layer, qkv, HeadScores::default(), step, options)
    }

    /// As [`Self::attention`], with what heads add to scores. Values that have fewer components than the cache are kept with zeros.
    ///
    /// # Errors
    /// As [`Self::attention`], and if there is not one sink or slope for each head.
    pub fn attention_with(
        &self,
        layer: usize,
        [q, k, v]: [&Tensor; 3],
        added: HeadScores<'_>,
        step: &PagedStep,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        if let Some(wide) = super::attention::widened(v, self.shape.value_dim)? {
            let width = v.dims().last().copied().unwrap_or_default();
            let y = self.attention_with(layer, [q, k, &wide], added, step, options)?;
            return y.narrow(2, 0, width as u64);
        }
        self.attend(layer, [q, k], Values::Given(v), added, step, options)
    }

    /// As [`Self::attention`], where values are the first `value_dim` components of the keys: `[tokens, heads, value_dim]`. Only
    /// keys are put into the cache.
    ///
    /// # Errors
    /// As [`Self::attention`].
    pub fn attention_to_keys(
        &self,
        layer: usize,
        [q, k]: [&Tensor; 2],
        value_dim: usize,
        step: &PagedStep,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        self.attend(layer, [q, k], Values::OfKeys(value_dim), HeadScores::default(), step, options)
    }

    fn attend(
        &self,
        layer: usize,
        [q, k]: [&Tensor; 2],
        v: Values<'_>,
        added: HeadScores<'_>,
        step: &PagedStep,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        let &[tokens, heads, _] = q.dims() else { return Err(Error::shapes(OP, q.dims(), k.dims())) };
        let CacheShape { block_size, kv_heads, head_dim, value_dim, .. } = self.shape;
        checks::same_shape(OP, q.dims(), &[tokens, heads, head_dim])?;
        checks::same_shape(OP, k.dims(), &[tokens, kv_heads, head_dim])?;
        let (v, value_dim) = match v {
            Values::Given(v) => {
                checks::same_shape(OP, v.dims(), &[tokens, kv_heads, value_dim])?;
                (Some(v), value_dim)
            }
            Values::OfKeys(value_dim) => (None, value_dim),
        };
        added.check(heads)?;
        let shape = PagedShape { heads, kv_heads, head_dim, value_dim, block_size };
        if step.slots.host().len() != tokens {
            return Err(Error::shapes(OP, k.dims(), &[step.slots.host().len()]));
        }
        let no_layer = || Error::invalid(OP, format!("there is no layer {layer}"));
        #[cfg(any(feature = "cuda", feature = "emulation"))]
        if let Layers::Device(layers) = &self.layers {
            let mut layer =
                layers.get(layer).ok_or_else(no_layer)?.lock().unwrap_or_else(PoisonError::into_inner);
            return layer.attend((q, k, v, added), step, &shape, options);
        }
        let slots: Vec<usize> = step.slots.host().iter().map(|&slot| slot as usize).collect();
        with_layers!(self, layers => {
            let mut layer = layers.get(layer).ok_or_else(no_layer)?.lock().unwrap_or_else(PoisonError::into_inner);
            attend(&mut layer, (q, k, v, added), &slots, &step.sequences(), &shape, options)
        })
    }
}

#[cfg(any(feature = "cuda", feature = "emulation"))]
impl DeviceLayer {
    fn all(shape: &CacheShape, dtype: DType, device: &Device) -> Result<Layers> {
        let zeros = |size: usize| crate::cuda::Buffer::zeros(OP, device, dtype, shape.blocks * size);
        let [keys, values] = shape.block();
        let layer = |_| Ok(Mutex::new(Self { keys: zeros(keys)?, values: zeros(values)? }));
        Ok(Layers::Device((0..shape.layers).map(layer).collect::<Result<_>>()?))
    }

    fn copy_block(layers: &[Mutex<Self>], shape: &CacheShape, from: usize, to: usize) -> Result<()> {
        let sizes = shape.block();
        for layer in layers {
            let mut layer = layer.lock().unwrap_or_else(PoisonError::into_inner);
            let Self { keys, values } = &mut *layer;
            for (cache, size) in [keys, values].into_iter().zip(sizes) {
                crate::cuda::paged_copy(cache, size, from, to)?;
            }
        }
        Ok(())
    }

    fn attend(
        &mut self,
        (q, k, v, added): (&Tensor, &Tensor, Option<&Tensor>, HeadScores<'_>),
        step: &PagedStep,
        shape: &PagedShape,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        let device = q.value().device();
        let [slots, places, blocks] = [&step.slots, &step.places, &step.blocks].map(|of| of.on(OP, device));
        let (slots, tables) = (slots?, [places?, blocks?]);
        crate::cuda::paged_write(k.value(), slots, shape.kv_heads * shape.head_dim, &mut self.keys)?;
        if let Some(v) = v {
            crate::cuda::paged_write(v.value(), slots, shape.kv_heads * shape.value_dim, &mut self.values)?;
        }
        let caches = [Some(&mut self.keys), v.map(|_| &mut self.values)];
        let inputs = crate::cuda::PagedQueries { q: q.value(), caches, added, tables, shape, options };
        Ok(Tensor::constant(crate::cuda::paged_attention(inputs)?))
    }
}

/// What is attended to.
enum Values<'a> {
    Given(&'a Tensor),
    /// So many of the first components of the keys.
    OfKeys(usize),
}

fn attend<T: Real<Compute: candle_core::WithDType>>(
    layer: &mut Layer<T>,
    (q, k, v, added): (&Tensor, &Tensor, Option<&Tensor>, HeadScores<'_>),
    slots: &[usize],
    sequences: &[PagedSequence<'_>],
    shape: &PagedShape,
    options: &AttentionOptions,
) -> Result<Tensor> {
    let parts = [(Some(k), &mut layer.keys, shape.head_dim), (v, &mut layer.values, shape.value_dim)];
    for (x, cache, dim) in parts {
        if let Some(x) = x {
            read::<T, _>(x.value(), |x| Ok(paged::write(x, slots, shape.kv_heads * dim, cache)?))?;
        }
    }
    let out = read::<T, _>(q.value(), |q| {
        let mut out = zeros::<T>(q.len() / shape.head_dim.max(1) * shape.value_dim);
        let inputs =
            PagedInputs { q, keys: &layer.keys, values: v.map(|_| &*layer.values), slopes: added.slopes };
        let sinks = sink_scores::<T::Compute>(added.sinks.map(Tensor::value))?;
        paged::forward_with_sinks(&inputs, sequences, shape, options, &sinks, &mut out)?;
        Ok(out)
    })?;
    let tokens = q.dims().first().copied().unwrap_or_default();
    Ok(Tensor::constant(make(out, &[tokens, shape.heads, shape.value_dim])?))
}
