use std::sync::Arc;

use swift_tensor::{DType, Device, Tensor, Value};
use wasmtime::component::Resource;

use crate::Result;
use crate::bindings::sampler::exports::swift::plugin::sampler as contract;
use crate::guest::Guest;
use crate::host::generation::GENERATION;
use crate::instance::Rejection;
use crate::store::{Usage, Views};

/// An answer whose next token is to be chosen, as a sampler sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// Token ids of the prompt.
    pub prompt: Vec<u32>,
    /// Token ids of the answer so far.
    pub answer: Vec<u32>,
    /// A number for this token; random tensors are drawn from it.
    pub seed: u64,
    /// What the sampler remembered at the token before.
    pub memory: Option<String>,
}

/// What a sampler makes of logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjusted {
    /// The logits `[vocab]` that the token is to be chosen by.
    pub logits: Vec<f32>,
    /// What it wants to find again at the next token.
    pub memory: Option<String>,
}

/// A plugin at work as a sampler.
pub struct SamplerPlugin {
    guest: Guest<contract::Guest>,
}

impl SamplerPlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// What the last call took.
    pub fn usage(&self) -> Usage {
        self.guest.usage()
    }

    /// What the next token is to be chosen by in the place of `logits` `[vocab]`. Tokens whose logit is minus infinity are
    /// ruled out, and stay so whatever the plugin says.
    ///
    /// # Errors
    /// If the plugin fails, crashes or takes too much, or gives another shape or type, a logit that is no number, or none that
    /// is left.
    pub fn adjust(&mut self, logits: &[f32], generation: Generation) -> Result<Adjusted> {
        let count = logits.len();
        let given =
            Value::from_vec(logits.to_vec(), count, &Device::Cpu).map_err(swift_tensor::Error::from)?;
        let (seed, memory) = (Some(generation.seed), generation.memory.clone());
        // Logits are on the CPU, and so is what is computed with them.
        swift_tensor::with_device(&Device::Cpu, || {
            self.guest.call(
                "adjust",
                Views { generation: Some(Arc::new(generation)), seed, ..Views::default() },
                |sampler, store| {
                    let given = store.data_mut().scope.borrow(Tensor::constant(given));
                    sampler.call_adjust(store, given, Resource::new_borrow(GENERATION))
                },
                |adjusted, state| {
                    let adjusted = state.scope.take(&adjusted?).map_err(Rejection::Wrong)?;
                    if adjusted.dims() != [count] || adjusted.dtype() != DType::F32 {
                        let (got, dtype) = (adjusted.dims(), adjusted.dtype().as_str());
                        let message = format!("the logits are `{dtype}` {got:?} and not `f32` [{count}]");
                        return Err(Rejection::Wrong(message));
                    }
                    let values = adjusted.value().flatten_all().and_then(|values| values.to_vec1::<f32>());
                    let mut values = values.map_err(|error| Rejection::Wrong(error.to_string()))?;
                    for (value, before) in values.iter_mut().zip(logits) {
                        if *before == f32::NEG_INFINITY {
                            *value = f32::NEG_INFINITY;
                        }
                    }
                    // What the model itself gave is no mistake of the plugin.
                    let is_wrong = |(value, before): (&f32, &f32)| {
                        before.is_finite() && (value.is_nan() || *value == f32::INFINITY)
                    };
                    match values.iter().zip(logits).position(is_wrong) {
                        Some(id) => Err(Rejection::Wrong(format!("the logit of token {id} is no number"))),
                        None if values.iter().all(|value| *value == f32::NEG_INFINITY) => {
                            Err(Rejection::Wrong("it leaves no token that is possible".into()))
                        }
                        None => Ok(Adjusted { logits: values, memory: state.remembered.take().or(memory) }),
                    }
                },
            )
        })
    }
}
