use std::sync::Arc;

use swift_tensor::Tensor;
use wasmtime::Store;
use wasmtime::component::Resource;

use super::loss::error_text;
use crate::bindings::model::ModelPlugin as Exported;
use crate::bindings::model::exports::swift::plugin::model as wit;
use crate::instance::{Exports, Instance};
use crate::state::State;
use crate::{Architecture, Head, Kind, Limits, NnContext, Parameter, Plugin, Result, Role, RotaryTable};

/// A running model definition.
pub struct ModelPlugin {
    instance: Instance<Exported>,
    /// Asked again after a restart, since a definition remembers the model it described.
    config: Option<String>,
    /// The store that `load` ran in is still the one in use.
    loaded: bool,
}

impl Exports for Exported {
    fn find(store: &mut Store<State>, component: &wasmtime::component::Instance) -> wasmtime::Result<Self> {
        Self::new(store, component)
    }
}

impl ModelPlugin {
    pub(crate) fn start(plugin: &Plugin, limits: &Limits) -> Result<Self> {
        plugin.expect(Kind::Model)?;
        let instance = Instance::start(plugin, "{}".to_owned(), limits)?;
        Ok(Self { instance, config: None, loaded: false })
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.instance.name()
    }

    /// Whether it knows a model by the `architectures` entry and `model_type` of its `config.json`.
    ///
    /// # Errors
    /// If the plugin traps.
    pub fn supports(&mut self, architecture: &str, model_type: &str) -> Result<bool> {
        self.instance.call("supports", |store, exports| {
            exports.swift_plugin_model().call_supports(store, architecture, model_type)
        })
    }

    /// The model that a `config.json` describes.
    ///
    /// # Errors
    /// If the plugin can't build it, or describes it inconsistently.
    pub fn load(&mut self, config_json: &str) -> Result<Architecture> {
        const FUNCTION: &str = "load";
        let outcome = self.instance.call(FUNCTION, |store, exports| {
            Ok(exports.swift_plugin_model().call_load(store, config_json)?.map_err(error_text))
        })?;
        let architecture = from_wit(outcome.map_err(|message| self.instance.failure(FUNCTION, message))?);
        if let Some(mistake) = architecture.mistake() {
            return Err(self.instance.breach(FUNCTION, format!("an architecture with a mistake: {mistake}")));
        }
        self.config = Some(config_json.to_owned());
        self.loaded = true;
        Ok(architecture)
    }

    /// Computes one stage.
    ///
    /// # Errors
    /// If the plugin fails, traps or exceeds a limit.
    pub fn forward(
        &mut self,
        stage: u32,
        input: Option<&Tensor>,
        context: Arc<dyn NnContext>,
    ) -> Result<Tensor> {
        const FUNCTION: &str = "forward";
        if !self.loaded
            && let Some(config) = self.config.clone()
        {
            self.load(&config)?;
        }
        let outcome = self.instance.call(FUNCTION, |store, exports| {
            let state = store.data_mut();
            let context = Resource::new_borrow(state.contexts.add(context));
            let input = match input {
                Some(input) => Some(Resource::new_borrow(state.lend(input.clone())?.rep())),
                None => None,
            };
            let outcome = exports.swift_plugin_model().call_forward(&mut *store, stage, input, context)?;
            Ok(outcome.map(|output| store.data_mut().reclaim(&output)).map_err(error_text))
        });
        self.loaded = outcome.is_ok();
        let output = outcome?.map_err(|message| self.instance.failure(FUNCTION, message))?;
        output.ok_or_else(|| self.instance.breach(FUNCTION, "a tensor that it does not own"))
    }
}

fn from_wit(architecture: wit::Architecture) -> Architecture {
    let role = |role| match role {
        wit::Role::Embedding => Role::Embedding,
        wit::Role::Column => Role::Column,
        wit::Role::Row => Role::Row,
        wit::Role::Head => Role::Head,
        wit::Role::Norm => Role::Norm,
        wit::Role::Bias => Role::Bias,
    };
    Architecture {
        name: architecture.name,
        hidden_size: architecture.hidden_size,
        vocab_size: architecture.vocab_size,
        stages: architecture.stages,
        parameters: architecture
            .parameters
            .into_iter()
            .map(|p| Parameter { name: p.name, shape: p.shape, role: role(p.role), stage: p.stage })
            .collect(),
        ignored: architecture.ignored,
        rotary_tables: architecture
            .rotary_tables
            .into_iter()
            .map(|table| RotaryTable {
                inverse_frequencies: table.inverse_frequencies,
                scale: table.scale,
                interleaved: table.interleaved,
            })
            .collect(),
        head: Head { weight: architecture.head.weight, bias: architecture.head.bias },
        cache_layers: architecture.cache_layers,
        kv_heads: architecture.kv_heads,
        head_dim: architecture.head_dim,
    }
}
