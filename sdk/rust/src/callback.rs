//! Plugins that watch a run and steer it.

use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Parameters, Result, Tensor, backend};

pub use crate::bindings::callback::{Action, Event, RunState};

/// Watches a run and steers it.
pub trait Callback: Parameters {
    /// What the callback remembers between events. It is written into checkpoints and restored when a run is resumed.
    /// `()` for a callback that remembers nothing.
    type State: Default + Serialize + DeserializeOwned + 'static;

    /// Called after each event, with what is remembered and the run as it is.
    ///
    /// # Errors
    /// Whatever the callback finds impossible; the run ends with it.
    fn on_event(&self, state: &mut Self::State, event: Event, run: &Run) -> Result<Vec<Action>>;
}

/// The run that goes on: where it is ([`RunState`]), and what it has learned so far.
pub struct Run<'a> {
    pub(crate) state: RunState,
    pub(crate) view: backend::Run<'a>,
}

impl Deref for Run<'_> {
    type Target = RunState;
    fn deref(&self) -> &RunState {
        &self.state
    }
}

impl Run<'_> {
    /// Names of the trained parameters, in the optimiser's order.
    pub fn parameter_names(&self) -> Vec<String> {
        self.view.parameter_names()
    }

    /// The present value of a trained parameter, in its own shape and element type; none if there is no such one.
    pub fn parameter(&self, name: &str) -> Option<Tensor> {
        self.view.parameter(name).map(backend::given)
    }
}

impl RunState {
    /// One of the event's numbers, as logged: `loss`, `eval_loss`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.0 == name).map(|metric| metric.1)
    }
}
