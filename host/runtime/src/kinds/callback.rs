use std::sync::Arc;

use wasmtime::component::Resource;

use crate::Result;
use crate::bindings::callback::exports::swift::plugin::callback as contract;
use crate::guest::Guest;
use crate::host::run::RUN;
use crate::instance::Rejection;
use crate::store::Views;
use crate::views::RunView;

/// What has just happened in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Before the first step.
    TrainBegin,
    /// After an optimiser step.
    StepEnd,
    /// A line was logged; its numbers are in the state's metrics.
    Log,
    /// The validation set was evaluated; its numbers are in the state's metrics.
    Evaluate,
    /// A checkpoint was written.
    Save,
    /// A pass over the training data ended.
    EpochEnd,
    /// After the last step.
    TrainEnd,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// Optimiser steps taken.
    pub step: u64,
    /// Steps planned.
    pub max_steps: u64,
    /// Passes over the data, with the fraction of the current one.
    pub epoch: f64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// The event's numbers, as logged.
    pub metrics: Vec<(String, f64)>,
}

/// What the trainer shall do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write a checkpoint.
    Save,
    /// Evaluate the validation set.
    Evaluate,
    /// End the run in good order, for the reason given.
    Stop(String),
    /// Add a number to the next log line.
    LogMetric(String, f64),
}

/// A plugin at work as a callback.
pub struct CallbackPlugin {
    guest: Guest<contract::Guest>,
}

impl CallbackPlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// Tells it of an event; it says what shall be done next. `run` is what it may look into.
    ///
    /// # Errors
    /// If the plugin fails, crashes or takes too much.
    pub fn on_event(&mut self, event: Event, state: &RunState, run: Arc<dyn RunView>) -> Result<Vec<Action>> {
        let state = contract::RunState {
            step: state.step,
            max_steps: state.max_steps,
            epoch: state.epoch,
            learning_rate: state.learning_rate,
            metrics: state.metrics.clone(),
        };
        self.guest.call(
            "on-event",
            Views { run: Some(run), ..Views::default() },
            |callback, store| callback.call_on_event(store, event.into(), &state, Resource::new_borrow(RUN)),
            |actions, _| Ok(actions.map_err(Rejection::Failed)?.into_iter().map(Action::from).collect()),
        )
    }

    /// What it wants to find again when the run is resumed.
    ///
    /// # Errors
    /// If the plugin crashes or takes too much.
    pub fn save_state(&mut self) -> Result<String> {
        let call = |callback: &contract::Guest, store: &mut _| callback.call_save_state(store);
        self.guest.call("save-state", Views::default(), call, |state, _| Ok(state))
    }

    /// Gives it what [`Self::save_state`] gave.
    ///
    /// # Errors
    /// If the plugin does not know what to make of it, crashes or takes too much.
    pub fn restore_state(&mut self, state: &str) -> Result<()> {
        self.guest.call(
            "restore-state",
            Views::default(),
            |callback, store| callback.call_restore_state(store, state),
            |restored, _| restored.map_err(Rejection::Failed),
        )
    }
}

impl From<Event> for contract::Event {
    fn from(event: Event) -> Self {
        match event {
            Event::TrainBegin => Self::TrainBegin,
            Event::StepEnd => Self::StepEnd,
            Event::Log => Self::Log,
            Event::Evaluate => Self::Evaluate,
            Event::Save => Self::Save,
            Event::EpochEnd => Self::EpochEnd,
            Event::TrainEnd => Self::TrainEnd,
        }
    }
}

impl From<contract::Action> for Action {
    fn from(action: contract::Action) -> Self {
        match action {
            contract::Action::Save => Self::Save,
            contract::Action::Evaluate => Self::Evaluate,
            contract::Action::Stop(reason) => Self::Stop(reason),
            contract::Action::LogMetric((name, value)) => Self::LogMetric(name, value),
        }
    }
}
