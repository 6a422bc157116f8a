//! What a model definition computes with: operations on parameters named by their index.

use std::sync::{Arc, Mutex, PoisonError};

use swift_runtime::{AddedLoss, NnContext};
use swift_tensor::fused::{self, AttentionOptions, Dropout, HeadScores, Linear};
use swift_tensor::{Result, Tensor};

use crate::adapter::{Served, adapted_groups, adapted_rows};
use crate::batch::{Batch, Cached};
use crate::network::Network;
use crate::random::stream;

/// One stage of a network on one batch.
pub(crate) struct Context {
    pub(crate) network: Arc<Network>,
    pub(crate) batch: Arc<Batch>,
    pub(crate) stage: u32,
    /// Whether adapters are on.
    pub(crate) adapters: bool,
    /// The seed of dropout; none turns it off.
    pub(crate) dropout_seed: Option<u64>,
    /// Whether the batch is learned from.
    pub(crate) training: bool,
    /// What earlier stages handed over.
    pub(crate) handed_over: Vec<HandedOver>,
    /// What this one gives besides its output.
    pub(crate) aside: Mutex<Aside>,
}

/// A tensor for later stages, and the name that they find it by.
pub(crate) type HandedOver = (String, Tensor);

/// What a stage gives besides its output.
#[derive(Default)]
pub(crate) struct Aside {
    pub(crate) handed_over: Vec<HandedOver>,
    pub(crate) losses: Vec<AddedLoss>,
}

impl Aside {
    /// All tensors, in an order that is always the same.
    pub(crate) fn tensors(&mut self) -> impl Iterator<Item = &mut Tensor> {
        let handed_over = self.handed_over.iter_mut().map(|(_, value)| value);
        handed_over.chain(self.losses.iter_mut().map(|loss| &mut loss.value))
    }
}

impl Context {
    fn parameter(&self, op: &'static str, index: u32) -> Result<Tensor> {
        self.network.parameter(op, index, Some(self.stage))
    }
}

impl Context {
    /// The place of a layer in the cache.
    pub(crate) fn cache_layer(&self, layer: u32) -> Result<usize> {
        let layers = self.network.architecture.cache_layers;
        if layer >= layers {
            let message = format!("there is no layer {layer}, the architecture has {layers}");
            return Err(swift_tensor::Error::invalid("attention", message));
        }
        Ok(layer as usize)
    }

    fn aside(&self, give: impl FnOnce(&mut Aside)) {
        give(&mut self.aside.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn attend(
        &self,
        layer: u32,
        [q, k, v]: [&Tensor; 3],
        added: HeadScores<'_>,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        let layer = self.cache_layer(layer)?;
        match &self.batch.cached {
            Some(Cached { cache, step, .. }) => cache.attention_with(layer, [q, k, v], added, step, options),
            None => fused::attention_with([q, k, v], added, &self.batch.lengths, options),
        }
    }
}

impl NnContext for Context {
    fn token_count(&self) -> u64 {
        self.batch.ids.host().len() as u64
    }

    fn embedding(&self, parameter: u32) -> Result<Tensor> {
        fused::embedding(&self.parameter("embedding", parameter)?, &self.batch.ids)
    }

    fn linear(&self, weight: u32, bias: Option<u32>, x: &Tensor) -> Result<Tensor> {
        let bias = bias.map(|bias| self.parameter("linear", bias)).transpose()?;
        let matrix = self.network.weight("linear", weight, Some(self.stage))?;
        if let Some(cached) = &self.batch.cached {
            return adapted_rows(x, weight as usize, matrix, bias, &cached.adapters);
        }
        let matrix = if self.network.is_in_float8(weight) { matrix.in_float8() } else { matrix };
        let adapter = self.network.adapter.as_ref().filter(|_| self.adapters);
        match adapter.and_then(|adapter| Some((adapter, adapter.layer(weight as usize)?))) {
            None => fused::linear(x, &Linear { weight: matrix, bias, adapter: None }),
            Some((adapter, layer)) => {
                let rate = adapter.dropout();
                let seed = self.dropout_seed.filter(|_| rate > 0.0);
                // Each layer drops other elements, and the same ones when its stage is computed again.
                let dropout = seed.map(|seed| Dropout { rate, seed: stream(seed, &layer.module().name) });
                layer.forward(x, matrix, bias, adapter.trainable(), dropout)
            }
        }
    }

    fn rms_norm(&self, weight: u32, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        fused::rms_norm(x, &self.parameter("rms_norm", weight)?, epsilon)
    }

    fn rms_norm_offset(&self, weight: u32, offset: f64, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        fused::rms_norm_offset(x, &self.parameter("rms_norm_offset", weight)?, offset, epsilon)
    }

    fn layer_norm(&self, weight: Option<u32>, bias: Option<u32>, x: &Tensor, epsilon: f64) -> Result<Tensor> {
        let [weight, bias] =
            [weight, bias].map(|index| index.map(|index| self.parameter("layer_norm", index)).transpose());
        fused::layer_norm(x, weight?.as_ref(), bias?.as_ref(), epsilon)
    }

    fn rope(&self, table: u32, x: &Tensor) -> Result<Tensor> {
        let tables = &self.batch.rotary;
        let table = tables.get(table as usize).ok_or_else(|| {
            let message = format!("there is no rotary table {table}, the architecture has {}", tables.len());
            swift_tensor::Error::invalid("rope", message)
        })?;
        fused::rope(x, table)
    }

    fn attention(
        &self,
        layer: u32,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        self.attend(layer, [q, k, v], HeadScores::default(), options)
    }

    fn parameter(&self, parameter: u32) -> Result<Tensor> {
        Self::parameter(self, "parameter", parameter)
    }

    fn attention_with_sinks(
        &self,
        layer: u32,
        qkv: [&Tensor; 3],
        sinks: u32,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        let sinks = self.parameter("attention_with_sinks", sinks)?;
        self.attend(layer, qkv, HeadScores { sinks: Some(&sinks), slopes: &[] }, options)
    }

    fn attention_with_slopes(
        &self,
        layer: u32,
        qkv: [&Tensor; 3],
        slopes: &[f64],
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        self.attend(layer, qkv, HeadScores { sinks: None, slopes }, options)
    }

    fn grouped_linear(
        &self,
        weights: &[u32],
        biases: &[u32],
        x: &Tensor,
        groups: &Tensor,
        tokens: &Tensor,
    ) -> Result<Tensor> {
        const OP: &str = "grouped_linear";
        let matrices = weights.iter().map(|&index| self.network.weight(OP, index, Some(self.stage)));
        let biases = biases.iter().map(|&index| self.parameter(OP, index));
        let layer = fused::GroupedLinear {
            weights: matrices.collect::<Result<_>>()?,
            biases: biases.collect::<Result<_>>()?,
        };
        let adapter = self.network.adapter.as_ref().filter(|_| self.adapters);
        let served = match &self.batch.cached {
            Some(cached) => Served::ByToken(&cached.adapters),
            None => Served::All(adapter, self.dropout_seed),
        };
        adapted_groups(x, weights, &layer, groups, tokens, &served)
    }

    fn swiglu(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
        fused::swiglu(gate, up)
    }

    fn attention_projected(
        &self,
        layer: u32,
        inputs: [&Tensor; 3],
        weight: u32,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        self.attend_projected(layer, inputs, weight, options)
    }

    fn training(&self) -> bool {
        self.training
    }

    fn hand_over(&self, name: String, value: Tensor) -> Result<()> {
        self.aside(|aside| aside.handed_over.push((name, value)));
        Ok(())
    }

    fn handed_over(&self, name: &str) -> Result<Vec<Tensor>> {
        let named = self.handed_over.iter().filter(|(given, _)| given == name);
        Ok(named.map(|(_, value)| value.clone()).collect())
    }

    fn add_loss(&self, loss: AddedLoss) -> Result<()> {
        if self.training {
            self.aside(|aside| aside.losses.push(loss));
        }
        Ok(())
    }
}
