use crate::{Callback, Event, Result, Run, RunState, Tensor};

/// The trained parameters of a run, with the tensors that a test gives them.
#[derive(Debug, Default)]
pub struct Parameters(Vec<(String, Tensor)>);

impl Parameters {
    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: Tensor) -> Self {
        self.0.push((name.to_owned(), value));
        self
    }

    pub(crate) fn parameter_names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<Tensor> {
        self.0.iter().find(|parameter| parameter.0 == name).map(|(_, value)| value.detach())
    }
}

/// Tells a callback of an event.
///
/// # Errors
/// What the callback gives.
pub fn tell<C: Callback>(
    callback: &C,
    remembered: &mut C::State,
    event: Event,
    state: RunState,
    parameters: &Parameters,
) -> Result<Vec<crate::Action>> {
    callback.on_event(remembered, event, &Run { state, view: parameters })
}
