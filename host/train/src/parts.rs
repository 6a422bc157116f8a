//! What takes part in a run besides model and data: plugins as a rule, native code in tests and measurements.

use std::sync::Arc;

use swift_runtime::{
    Action, BatchView, CallbackPlugin, Completion, Event, LossPlugin, LossReport, MetricPlugin,
    OptimizedParameter, OptimizerPlugin, OptimizerSlot, OutputsView, Requirements, RunState, RunView,
    SchedulePlugin,
};
use swift_tensor::Tensor;

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

/// Measures a model on a validation set.
pub trait Metric: Send {
    /// Looks at one batch of the validation set.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn observe(&mut self, batch: Arc<dyn BatchView>, policy: Arc<dyn OutputsView>) -> Result<()>;

    /// The numbers of all batches since the last call, by name.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn finish(&mut self) -> Result<Vec<(String, f64)>>;
}

impl Metric for MetricPlugin {
    fn observe(&mut self, batch: Arc<dyn BatchView>, policy: Arc<dyn OutputsView>) -> Result<()> {
        Ok(Self::observe(self, batch, policy)?)
    }

    fn finish(&mut self) -> Result<Vec<(String, f64)>> {
        Ok(Self::finish(self)?)
    }
}

/// Judges answers of the model.
pub trait Reward: Send {
    /// Its name, for log lines.
    fn name(&self) -> &str;

    /// A number for each answer, in their order; none where the reward does not apply to it. What it gives may depend on the
    /// answers and on which `generation` of the run they are, counted from 0, and on nothing else: no state goes through
    /// checkpoints.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn score(&mut self, generation: u64, completions: &[Completion]) -> Result<Vec<Option<f64>>>;
}

/// How the learning rate changes after the warm-up.
pub trait ScheduleRule: Send {
    /// The factor on the learning rate for the step that follows `step` steps of `max_steps`, neither counting the warm-up.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn factor(&mut self, step: u64, max_steps: u64) -> Result<f64>;
}

impl ScheduleRule for SchedulePlugin {
    fn factor(&mut self, step: u64, max_steps: u64) -> Result<f64> {
        Ok(Self::factor(self, step, max_steps)?)
    }
}

/// How one parameter follows its gradient.
pub trait UpdateRule: Send {
    /// The tensors to keep for a parameter between steps.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn slots(&mut self, parameter: &OptimizedParameter) -> Result<Vec<OptimizerSlot>>;

    /// Takes step `number` (counted from 1) with one parameter: gives its new value and its new slots, in their order, all
    /// `float32`.
    ///
    /// # Errors
    /// Whatever goes wrong in it.
    fn update(
        &mut self,
        parameter: &OptimizedParameter,
        value: &Tensor,
        gradient: &Tensor,
        slots: &[Tensor],
        number: u64,
        learning_rate: f64,
    ) -> Result<(Tensor, Vec<Tensor>)>;
}

impl UpdateRule for OptimizerPlugin {
    fn slots(&mut self, parameter: &OptimizedParameter) -> Result<Vec<OptimizerSlot>> {
        Ok(Self::slots(self, parameter)?)
    }

    fn update(
        &mut self,
        parameter: &OptimizedParameter,
        value: &Tensor,
        gradient: &Tensor,
        slots: &[Tensor],
        number: u64,
        learning_rate: f64,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        Ok(Self::update(self, parameter, value, gradient, slots, number, learning_rate)?)
    }
}
