//! Plugins that watch a run and steer it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Parameters, Result};

pub use crate::bindings::callback::{Action, Event, RunState};

/// Watches a run and steers it.
pub trait Callback: Parameters {
    /// What the callback remembers between events. It is written into checkpoints and restored when a run is resumed.
    /// `()` for a callback that remembers nothing.
    type State: Default + Serialize + DeserializeOwned + 'static;

    /// Called after each event, with what is remembered and where the run is.
    ///
    /// # Errors
    /// Whatever the callback finds impossible; the run ends with it.
    fn on_event(&self, state: &mut Self::State, event: Event, run: &RunState) -> Result<Vec<Action>>;
}

impl RunState {
    /// One of the event's numbers, as logged: `loss`, `eval_loss`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.0 == name).map(|metric| metric.1)
    }
}
