use std::sync::Arc;

use swift_tensor::Tensor;
use wasmtime::component::Resource;

use crate::Result;
use crate::architecture::{Architecture, Head, Parameter, Role, RotaryTable};
use crate::bindings::model::exports::swift::plugin::model as contract;
use crate::guest::Guest;
use crate::host::nn::CONTEXT;
use crate::instance::Rejection;
use crate::store::{Usage, Views};
use crate::views::NnContext;

/// A plugin at work as the definition of a model.
pub struct ModelPlugin {
    guest: Guest<contract::Guest>,
    /// The `config.json` and the width of hidden states, once they are known.
    loaded: Option<(String, usize)>,
}

impl ModelPlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest, loaded: None }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// What the last call took.
    pub fn usage(&self) -> Usage {
        self.guest.usage()
    }

    /// Whether it knows the model: the `architectures` entry and the `model_type` of a `config.json`.
    ///
    /// # Errors
    /// If the plugin crashes or takes too much.
    pub fn supports(&mut self, architecture: &str, model_type: &str) -> Result<bool> {
        self.guest.call(
            "supports",
            Views::default(),
            |model, store| model.call_supports(store, architecture, model_type),
            |supports, _| Ok(supports),
        )
    }

    /// The model that a `config.json` describes. Called before [`Self::forward`].
    ///
    /// # Errors
    /// If the plugin fails, crashes, takes too much, or gives an architecture whose parts don't fit together.
    pub fn load(&mut self, config_json: &str) -> Result<Architecture> {
        let architecture: Architecture = self.guest.call(
            "load",
            Views::default(),
            |model, store| model.call_load(store, config_json),
            |architecture, state| {
                let mut architecture = Architecture::from(architecture?);
                architecture.head.soft_cap = state.declared.head_soft_cap;
                architecture.head.normalised = state.declared.normalised_head;
                architecture.longest_sequence = state.declared.longest_sequence;
                architecture.untrained.clone_from(&state.declared.untrained);
                architecture.full_precision.clone_from(&state.declared.full_precision);
                architecture.cached_values = state.declared.cached_values;
                architecture.stacks.clone_from(&state.declared.stacks);
                for (table, longer) in &state.declared.longer_sequences {
                    let tables = architecture.rotary_tables.len();
                    let Some(table) = architecture.rotary_tables.get_mut(*table as usize) else {
                        let mistake =
                            format!("it has no rotary table {table} for longer sequences, but {tables}");
                        return Err(Rejection::Wrong(mistake));
                    };
                    table.longer = Some(longer.clone());
                }
                match architecture.mistake() {
                    Some(mistake) => Err(Rejection::Wrong(mistake)),
                    None => Ok(architecture),
                }
            },
        )?;
        self.loaded = Some((config_json.to_owned(), architecture.hidden_size as usize));
        Ok(architecture)
    }

    /// Computes one stage: `[tokens, hidden_size]` in (none for stage 0) and out.
    ///
    /// # Errors
    /// If the plugin fails, crashes, takes too much, or gives a tensor of another shape.
    pub fn forward(
        &mut self,
        stage: u32,
        input: Option<&Tensor>,
        context: Arc<dyn NnContext>,
    ) -> Result<Tensor> {
        if let (false, Some((config, _))) = (self.guest.is_live(), self.loaded.clone()) {
            // A new instance knows nothing of the model yet.
            self.load(&config)?;
        }
        let hidden_size = self.loaded.as_ref().map(|(_, hidden_size)| *hidden_size);
        let tokens = context.token_count() as usize;
        let views = Views { context: Some(context), ..Views::default() };
        self.guest.call(
            "forward",
            views,
            |model, store| {
                let input = input.map(|input| store.data_mut().scope.borrow(input.clone()));
                model.call_forward(store, stage, input, Resource::new_borrow(CONTEXT))
            },
            |output, state| {
                let output = state.scope.take(&output?).map_err(Rejection::Wrong)?;
                match hidden_size {
                    Some(width) if output.dims() != [tokens, width] => Err(Rejection::Wrong(format!(
                        "stage {stage} gave the shape {:?} instead of {:?}",
                        output.dims(),
                        [tokens, width]
                    ))),
                    _ => Ok(output),
                }
            },
        )
    }
}

impl From<contract::Architecture> for Architecture {
    fn from(given: contract::Architecture) -> Self {
        let rotary_tables = given.rotary_tables.into_iter().map(|table| RotaryTable {
            inverse_frequencies: table.inverse_frequencies,
            scale: table.scale,
            interleaved: table.interleaved,
            longer: None,
        });
        Self {
            name: given.name,
            hidden_size: given.hidden_size,
            vocab_size: given.vocab_size,
            stages: given.stages,
            parameters: given.parameters.into_iter().map(Parameter::from).collect(),
            ignored: given.ignored,
            rotary_tables: rotary_tables.collect(),
            head: Head {
                weight: given.head.weight,
                bias: given.head.bias,
                soft_cap: None,
                normalised: false,
            },
            cache_layers: given.cache_layers,
            kv_heads: given.kv_heads,
            head_dim: given.head_dim,
            cached_values: None,
            untrained: Vec::new(),
            full_precision: Vec::new(),
            longest_sequence: None,
            stacks: Vec::new(),
        }
    }
}

impl From<contract::Parameter> for Parameter {
    fn from(given: contract::Parameter) -> Self {
        let role = match given.role {
            contract::Role::Embedding => Role::Embedding,
            contract::Role::Column => Role::Column,
            contract::Role::Row => Role::Row,
            contract::Role::Head => Role::Head,
            contract::Role::Norm => Role::Norm,
            contract::Role::Bias => Role::Bias,
        };
        Self { name: given.name, shape: given.shape, role, stage: given.stage }
    }
}
