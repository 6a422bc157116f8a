use serde_json::{Map, Value};
use wasmtime::Store;

use crate::bindings::callback::CallbackPlugin as Exported;
use crate::bindings::callback::exports::swift::plugin::callback as wit;
use crate::instance::{Exports, Instance};
use crate::state::State;
use crate::{Kind, Limits, Plugin, Result};

/// What has just happened in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Before the first step.
    TrainBegin,
    /// After an optimiser step.
    StepEnd,
    /// A line was logged.
    Log,
    /// The validation set was evaluated.
    Evaluate,
    /// A checkpoint was written.
    Save,
    /// A pass over the training data ended.
    EpochEnd,
    /// After the last step.
    TrainEnd,
}

/// Where the run is.
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

/// A running callback.
pub struct CallbackPlugin {
    instance: Instance<Exported>,
}

impl Exports for Exported {
    fn find(store: &mut Store<State>, component: &wasmtime::component::Instance) -> wasmtime::Result<Self> {
        Self::new(store, component)
    }
}

impl CallbackPlugin {
    pub(crate) fn start(plugin: &Plugin, arguments: &Map<String, Value>, limits: &Limits) -> Result<Self> {
        plugin.expect(Kind::Callback)?;
        plugin.check_arguments(arguments)?;
        let arguments = Value::Object(arguments.clone()).to_string();
        Ok(Self { instance: Instance::start(plugin, arguments, limits)? })
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.instance.name()
    }

    /// Tells it of an event.
    ///
    /// # Errors
    /// If the plugin fails, traps or exceeds a limit.
    pub fn on_event(&mut self, event: Event, state: &RunState) -> Result<Vec<Action>> {
        const FUNCTION: &str = "on-event";
        let event = match event {
            Event::TrainBegin => wit::Event::TrainBegin,
            Event::StepEnd => wit::Event::StepEnd,
            Event::Log => wit::Event::Log,
            Event::Evaluate => wit::Event::Evaluate,
            Event::Save => wit::Event::Save,
            Event::EpochEnd => wit::Event::EpochEnd,
            Event::TrainEnd => wit::Event::TrainEnd,
        };
        let state = wit::RunState {
            step: state.step,
            max_steps: state.max_steps,
            epoch: state.epoch,
            learning_rate: state.learning_rate,
            metrics: state.metrics.clone(),
        };
        let outcome = self.instance.call(FUNCTION, |store, exports| {
            exports.swift_plugin_callback().call_on_event(store, event, &state)
        })?;
        let actions = outcome.map_err(|message| self.instance.failure(FUNCTION, message))?;
        Ok(actions
            .into_iter()
            .map(|action| match action {
                wit::Action::Save => Action::Save,
                wit::Action::Evaluate => Action::Evaluate,
                wit::Action::Stop(reason) => Action::Stop(reason),
                wit::Action::LogMetric((name, value)) => Action::LogMetric(name, value),
            })
            .collect())
    }

    /// The state to store in a checkpoint.
    ///
    /// # Errors
    /// If the plugin traps or exceeds a limit.
    pub fn save_state(&mut self) -> Result<String> {
        self.instance
            .call("save-state", |store, exports| exports.swift_plugin_callback().call_save_state(store))
    }

    /// Gives it the state of a checkpoint.
    ///
    /// # Errors
    /// If the plugin refuses it, traps or exceeds a limit.
    pub fn restore_state(&mut self, state: &str) -> Result<()> {
        const FUNCTION: &str = "restore-state";
        let outcome = self.instance.call(FUNCTION, |store, exports| {
            exports.swift_plugin_callback().call_restore_state(store, state)
        })?;
        outcome.map_err(|message| self.instance.failure(FUNCTION, message))
    }
}
