//! Low-rank adapters: LoRA (Hu et al. 2021), rsLoRA (Kalajdzievski 2023) and DoRA (Liu et al. 2024), as PEFT computes them.

mod config;
mod groups;
mod layer;
mod norms;
mod peft;
mod rows;
mod target;
#[cfg(test)]
mod tests;

use swift_runtime::{Architecture, Role};
use swift_tensor::{DType, Value, uniform};

use crate::Result;
use crate::parameter::TrainableParameter;
use crate::random::stream;

use config::AdapterConfig;
use layer::{Layer, Matrices};
use norms::row_norms;
use target::Module;

pub(crate) use groups::{Served, adapted_groups};
pub(crate) use layer::adapter_dtype;
pub(crate) use peft::{PREFIX, adapter_weights};
pub(crate) use rows::{adapted_heads, adapted_rows};

/// What a new adapter shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterOptions {
    /// Rank of the two matrices.
    pub rank: usize,
    /// Numerator of the scale: `alpha / rank`, or `alpha / sqrt(rank)` with `rslora`.
    pub alpha: f64,
    /// Share of the branch's inputs that is zeroed in training, in `0 .. 1`.
    pub dropout: f64,
    /// Whether the scale is rank-stabilised.
    pub rslora: bool,
    /// Whether the weights are decomposed into magnitudes and directions.
    pub dora: bool,
    /// Last parts of the names of linear layers (`q_proj`, `self_attn.q_proj`, whole names), or `all-linear` for every
    /// linear layer but the output projection.
    pub target_modules: Vec<String>,
    /// Seed of the initial values.
    pub seed: u64,
}

/// An adapter on some linear layers of a model.
pub(crate) struct Adapter {
    config: AdapterConfig,
    trainable: bool,
    /// In the order of their weights' indices.
    layers: Vec<Layer>,
}

impl Adapter {
    /// A new adapter that changes nothing yet, as PEFT initialises it: `A` uniform in `-1/sqrt(in) .. 1/sqrt(in)` (Kaiming
    /// with `a = sqrt(5)`), `B` zero, magnitudes the norms of the rows of `W`. `weights` are the model's, in its order.
    pub(crate) fn new(
        options: &AdapterOptions,
        architecture: &Architecture,
        weights: &[Value],
        dtype: DType,
    ) -> Result<Self> {
        let config = AdapterConfig::new(options)?;
        let modules = target::select(architecture, &config.target_modules)?;
        Self::assemble(config, true, architecture, modules, |module| {
            let limit = 1.0 / (module.inputs as f64).sqrt();
            let shape = [options.rank as u64, module.inputs as u64];
            let seed = stream(options.seed, &peft::name_of(module, layer::A));
            let a = uniform(-limit, limit, &shape, dtype, seed)?.value().clone();
            let b = Value::zeros((module.outputs, options.rank), dtype, a.device())?;
            let weight = weights.get(module.index).filter(|_| options.dora);
            let norms = weight.map(|weight| row_norms(weight, None)?.cast(dtype)).transpose()?;
            Ok(Matrices { a, b, magnitude: norms.map(|norms| norms.value().clone()) })
        })
    }

    /// Puts an adapter together from the matrices of each layer.
    fn assemble(
        config: AdapterConfig,
        trainable: bool,
        architecture: &Architecture,
        modules: Vec<Module>,
        mut matrices: impl FnMut(&Module) -> Result<Matrices>,
    ) -> Result<Self> {
        let ids = (architecture.parameters.len() as u32..).step_by(3);
        let layers = modules.into_iter().zip(ids).map(|(module, first_id)| {
            let matrices = matrices(&module)?;
            let scale = config.scale_of(&module.name);
            Ok(Layer::new(module, matrices, scale, first_id))
        });
        Ok(Self { layers: layers.collect::<Result<_>>()?, config, trainable })
    }

    /// The layer on the weight with this index, if there is one.
    pub(crate) fn layer(&self, weight: usize) -> Option<&Layer> {
        let place = self.layers.binary_search_by_key(&weight, |layer| layer.module().index).ok()?;
        self.layers.get(place)
    }

    /// The names of the weights that it changes, and how.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (String, &Layer)> {
        self.layers.iter().map(|layer| (format!("{}.weight", layer.module().name), layer))
    }

    /// Whether gradients are wanted.
    pub(crate) fn trainable(&self) -> bool {
        self.trainable
    }

    /// An id that no parameter of the adapter has.
    pub(crate) fn next_id(&self, architecture: &Architecture) -> u32 {
        architecture.parameters.len() as u32 + 3 * self.layers.len() as u32
    }

    /// The dropout rate in training.
    pub(crate) fn dropout(&self) -> f64 {
        self.config.dropout
    }

    /// Forgets what was derived from the parameters.
    pub(crate) fn parameters_changed(&self) {
        self.layers.iter().for_each(Layer::parameters_changed);
    }

    /// What an optimiser works on, in PEFT's order. All of it decays, as in ms-swift, magnitudes too.
    pub(crate) fn parameters(&self, architecture: &Architecture) -> Vec<TrainableParameter> {
        let of_layer = |layer: &Layer| {
            let role =
                architecture.parameters.get(layer.module().index).map_or(Role::Column, |weight| weight.role);
            let parameters = layer.parameters().map(|(id, end, value)| TrainableParameter {
                id,
                name: peft::name_of(layer.module(), end),
                value: value.clone(),
                role,
                weight_decay: true,
                adapter_b: end == layer::B,
            });
            parameters.collect::<Vec<_>>()
        };
        self.layers.iter().flat_map(of_layer).collect()
    }
}
