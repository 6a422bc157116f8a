use std::sync::Arc;

use swift_runtime::{Architecture, ModelPlugin, NnContext};
use swift_tensor::Tensor;

use crate::{Error, ModelConfig, Result};

/// What says how a model is wired: a model plugin, or the same in native code for tests and measurements.
pub trait Definition: Send {
    /// Whether it knows the model with this entry of `architectures` and this `model_type` in its `config.json`.
    ///
    /// # Errors
    /// If it can't tell.
    fn supports(&mut self, architecture: &str, model_type: &str) -> Result<bool>;

    /// The model that a `config.json` describes. Called once, before `forward`.
    ///
    /// # Errors
    /// If the configuration is not one that it can make.
    fn load(&mut self, config_json: &str) -> Result<Architecture>;

    /// Computes one stage: `[tokens, hidden_size]` in (none for stage 0) and out.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn forward(&mut self, stage: u32, input: Option<&Tensor>, context: Arc<dyn NnContext>) -> Result<Tensor>;
}

impl Definition for ModelPlugin {
    fn supports(&mut self, architecture: &str, model_type: &str) -> Result<bool> {
        Ok(Self::supports(self, architecture, model_type)?)
    }

    fn load(&mut self, config_json: &str) -> Result<Architecture> {
        Ok(Self::load(self, config_json)?)
    }

    fn forward(&mut self, stage: u32, input: Option<&Tensor>, context: Arc<dyn NnContext>) -> Result<Tensor> {
        Ok(Self::forward(self, stage, input, context)?)
    }
}

/// Asks named candidates in turn, making each only then, and gives the name and the definition of the first that knows
/// the model.
///
/// # Errors
/// If none does, or one can't be made or asked.
pub fn find_model_plugin<D: Definition>(
    config: &ModelConfig,
    candidates: impl IntoIterator<Item = (String, impl FnOnce() -> Result<D>)>,
) -> Result<(String, D)> {
    let (architecture, model_type) = (config.architecture(), config.model_type());
    let mut asked = Vec::new();
    for (name, make) in candidates {
        let mut definition = make()?;
        if definition.supports(architecture, model_type)? {
            return Ok((name, definition));
        }
        asked.push(name);
    }
    let (architecture, model_type) = (architecture.to_owned(), model_type.to_owned());
    Err(Error::UnsupportedArchitecture { architecture, model_type, asked })
}
