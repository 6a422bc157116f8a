//! What takes part in a run besides model and data: plugins as a rule, native code in tests and measurements.

use std::sync::Arc;

use swift_runtime::{
    Action, BatchView, CallbackPlugin, Event, LossPlugin, LossReport, OutputsView, Requirements, RunState,
    RunView,
};

use crate::Result;

/// A training objective.
pub trait Loss: Send {
    /// What it needs of the trainer.
    fn requirements(&self) -> Requirements;

    /// The loss and the metrics of one micro-batch. The loss is a scalar: the micro-batch's share of that of the window.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport>;

    /// What to store in a checkpoint.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn save_state(&mut self) -> Result<String> {
        Ok(String::new())
    }

    /// Takes up what [`Self::save_state`] gave.
    ///
    /// # Errors
    /// If it is not such a state.
    fn restore_state(&mut self, _state: &str) -> Result<()> {
        Ok(())
    }
}

impl Loss for LossPlugin {
    fn requirements(&self) -> Requirements {
        Self::requirements(self)
    }

    fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        Ok(Self::compute(self, batch, policy, reference)?)
    }

    fn save_state(&mut self) -> Result<String> {
        Ok(Self::save_state(self)?)
    }

    fn restore_state(&mut self, state: &str) -> Result<()> {
        Ok(Self::restore_state(self, state)?)
    }
}

/// Watches a run and steers it.
pub trait Callback: Send {
    /// Its name, for messages and checkpoints.
    fn name(&self) -> &str;

    /// Called after each event; says what shall be done next. `run` shows what is trained.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn on_event(&mut self, event: Event, state: &RunState, run: Arc<dyn RunView>) -> Result<Vec<Action>>;

    /// What to store in a checkpoint.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn save_state(&mut self) -> Result<String>;

    /// Takes up what [`Self::save_state`] gave.
    ///
    /// # Errors
    /// If it is not such a state.
    fn restore_state(&mut self, state: &str) -> Result<()>;
}

impl Callback for CallbackPlugin {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn on_event(&mut self, event: Event, state: &RunState, run: Arc<dyn RunView>) -> Result<Vec<Action>> {
        Ok(Self::on_event(self, event, state, run)?)
    }

    fn save_state(&mut self) -> Result<String> {
        Ok(Self::save_state(self)?)
    }

    fn restore_state(&mut self, state: &str) -> Result<()> {
        Ok(Self::restore_state(self, state)?)
    }
}
