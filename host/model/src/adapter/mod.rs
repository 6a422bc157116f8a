//! Low-rank adapters: LoRA (Hu et al. 2021), rsLoRA (Kalajdzievski 2023) and DoRA (Liu et al. 2024), as PEFT computes them.

mod config;
mod groups;
mod layer;
mod peft;
mod rows;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use swift_runtime::{Architecture, Role};
use swift_tensor::fused::{Weight, row_norms};
use swift_tensor::{DType, Value, uniform};

use crate::Result;
use crate::parameter::TrainableParameter;
use crate::random::stream;

use config::AdapterConfig;
use layer::{Layer, Matrices};
use target::{Member, Module};

pub(crate) use groups::{Served, adapted_groups};
pub(crate) use layer::adapter_dtype;
pub(crate) use peft::{PREFIX, adapter_weights};
pub(crate) use rows::{adapted_heads, adapted_rows};
pub(crate) use target::linear_sizes;

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
    /// Last parts of the names of weights that get an adapter as PEFT's `target_parameters` do: of linear layers, and of
    /// stacks of them, `[layers, in, out]`. They have no dropout and no magnitudes.
    pub target_parameters: Vec<String>,
    /// Seed of the initial values.
    pub seed: u64,
}

/// An adapter on some linear layers of a model.
pub(crate) struct Adapter {
    config: AdapterConfig,
    trainable: bool,
    /// In the order of their weights' indices.
    layers: Vec<Layer>,
    /// For each weight of a stack that the model has apart, the place of its layer, and which part of it is the weight's.
    members: BTreeMap<usize, (usize, Member)>,
}

impl Adapter {
    /// A new adapter that changes nothing yet, as PEFT initialises it: `A` uniform in `-1/sqrt(in) .. 1/sqrt(in)` (Kaiming
    /// with `a = sqrt(5)`), `B` zero, magnitudes the norms of the rows of `W`. `weights` are the model's, in its
    /// order, and `dtype` is what they are computed in.
    pub(crate) fn new(
        options: &AdapterOptions,
        architecture: &Architecture,
        weights: &[Weight],
        dtype: DType,
    ) -> Result<Self> {
        let config = AdapterConfig::new(options)?;
        let (model_dtype, dtype) = (dtype, adapter_dtype(dtype));
        let modules = target::select(architecture, &config)?;
        Self::assemble(config, true, architecture, modules, |module| {
            let limit = 1.0 / (module.inputs as f64).sqrt();
            let rank = options.rank * module.layers();
            let shape = [rank as u64, module.inputs as u64];
            let seed = stream(options.seed, &peft::name_of(module, layer::A));
            let a = uniform(-limit, limit, &shape, dtype, seed)?.value().clone();
            let b = Value::zeros((module.outputs, rank), dtype, a.device())?;
            let weight = weights.get(module.index).filter(|_| options.dora);
            let norms = weight.map(|weight| row_norms(weight.to_tensor(model_dtype)?.value(), None));
            let magnitude = norms.transpose()?.map(|norms| norms.to_dtype(dtype)).transpose()?;
            Ok(Matrices { a, b, magnitude })
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
        let places = modules.iter().enumerate();
        let members = places.flat_map(|(place, module)| {
            module.members.iter().map(move |(index, member)| (*index, (place, member.clone())))
        });
        let members = members.collect();
        let layers = modules.into_iter().zip(ids).map(|(module, first_id)| {
            let matrices = matrices(&module)?;
            let scale = config.scale_of(module.key());
            Ok(Layer::new(module, matrices, scale, first_id))
        });
        Ok(Self { layers: layers.collect::<Result<_>>()?, members, config, trainable })
    }

    /// The layer on the weight with this index, if there is one.
    pub(crate) fn layer(&self, weight: usize) -> Option<&Layer> {
        let place = self.layers.binary_search_by_key(&weight, |layer| layer.module().index).ok()?;
        self.layers.get(place)
    }

    /// The layer on a stack that this weight is one of, and which part of it is the weight's.
    pub(crate) fn member(&self, weight: usize) -> Option<(&Layer, &Member)> {
        let (place, member) = self.members.get(&weight)?;
        Some((self.layers.get(*place)?, member))
    }

    /// The names of the weights that it changes, and how.
    pub(crate) fn changes<'a>(
        &'a self,
        architecture: &'a Architecture,
    ) -> impl Iterator<Item = (String, (&'a Layer, Option<&'a Member>))> {
        let name = |index: usize| architecture.parameters.get(index).map(|parameter| parameter.name.clone());
        let alone = self.layers.iter().filter(|layer| layer.module().members.is_empty());
        let alone = alone.filter_map(move |layer| Some((name(layer.module().index)?, (layer, None))));
        alone.chain(self.members.keys().filter_map(move |&index| {
            let (layer, member) = self.member(index)?;
            Some((name(index)?, (layer, Some(member))))
        }))
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
