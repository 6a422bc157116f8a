use std::sync::Arc;

use swift_tensor::Tensor;
use wasmtime::component::Resource;

use crate::bindings::loss::exports::swift::plugin::loss as contract;
use crate::guest::Guest;
use crate::host::batch::{BATCH, POLICY, REFERENCE};
use crate::instance::Rejection;
use crate::store::{State, Usage, Views};
use crate::views::{BatchView, OutputsView};
use crate::{Result, random};

/// What a row must look like and what lies in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// One conversation a row, the answers labelled.
    #[default]
    Causal,
    /// A chosen and a rejected answer a row: a batch holds all chosen sequences, then all rejected ones.
    PreferencePairs,
    /// One conversation a row, and whether its answer is wanted, in the column `label`.
    UnpairedPreference,
    /// As [`Self::UnpairedPreference`]; a batch also holds, after all rows' sequences, each row's question with the answer
    /// of its neighbour in the accumulation window.
    UnpairedPreferenceWithMismatches,
    /// One text a row, of which nothing is labelled, and a column `label`.
    Labelled,
    /// An anchor, then its positive, then its negative texts a row, one row after the other.
    Groups,
    /// Prompts with the answers that the model gave to them.
    Rollouts,
}

/// Which parts of a conversation are trained on unless the user says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrainedParts {
    /// All answers.
    #[default]
    Answers,
    /// The answers after the last question.
    LastRound,
    /// Every token.
    Everything,
}

/// What a loss needs of the trainer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The kind of rows.
    pub input: Input,
    /// The parts that are trained on by default.
    pub trained_parts: TrainedParts,
    /// Whether it gets the outputs of the frozen reference model.
    pub reference: bool,
    /// Whether the batch has the outputs of a teacher model.
    pub teacher: bool,
    /// A trained linear layer without bias on the hidden states, and its outputs; 0 for as many as the run says.
    pub score_head: Option<u32>,
    /// Whether dropout would harm it.
    pub disable_dropout: bool,
}

/// A number to log: the mean of all observations since the last log line.
#[derive(Clone, Debug)]
pub struct Metric {
    /// As it is logged.
    pub name: String,
    /// Observations, any shape.
    pub values: Tensor,
    /// A weight for each observation, of the same shape; none counts each once.
    pub weights: Option<Tensor>,
}

/// A loss and its metrics.
#[derive(Clone, Debug)]
pub struct LossReport {
    /// Scalar: this micro-batch's share of the loss of the whole accumulation window. The shares are summed.
    pub loss: Tensor,
    /// What to log.
    pub metrics: Vec<Metric>,
}

/// A plugin at work as a training objective.
pub struct LossPlugin {
    guest: Guest<contract::Guest>,
    requirements: Requirements,
    /// The optimiser step of the last micro-batch, whether it was training, and its number in that step.
    last: (u64, bool, u64),
}

impl LossPlugin {
    pub(crate) fn new(mut guest: Guest<contract::Guest>) -> Result<Self> {
        let requirements = guest.call(
            "requires",
            Views::default(),
            |loss, store| loss.call_requires(store),
            |requirements, _| Ok(requirements.into()),
        )?;
        Ok(Self { guest, requirements, last: (u64::MAX, false, 0) })
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// What it needs of the trainer.
    pub fn requirements(&self) -> Requirements {
        self.requirements
    }

    /// What the last call took.
    pub fn usage(&self) -> Usage {
        self.guest.usage()
    }

    /// Computes the loss of one micro-batch.
    ///
    /// Its random tensors depend on [`Limits::seed`](crate::Limits::seed), the optimiser step, whether it trains, the number
    /// of the micro-batch in the step, and their number in the call: a resumed run draws the same.
    ///
    /// # Errors
    /// If the plugin fails, crashes, takes too much, or gives a loss that is no scalar, or metrics whose weights are not
    /// of the shape of their values.
    pub fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        let (step, training) = (batch.step(), batch.training());
        let number = match self.last {
            (last_step, was_training, number) if (last_step, was_training) == (step, training) => number + 1,
            _ => 0,
        };
        self.last = (step, training, number);
        let seed = Some(random::combine(&[self.guest.seed(), step, u64::from(training), number]));
        let has_reference = reference.is_some();
        let views = Views { batch: Some(batch), policy: Some(policy), reference, seed, ..Views::default() };
        self.guest.call(
            "compute",
            views,
            |loss, store| {
                let (batch, policy) = (Resource::new_borrow(BATCH), Resource::new_borrow(POLICY));
                let reference = has_reference.then(|| Resource::new_borrow(REFERENCE));
                loss.call_compute(store, batch, policy, reference)
            },
            |report, state| taken(report?, state),
        )
    }

    /// What it wants to find again when the run is resumed.
    ///
    /// # Errors
    /// If the plugin crashes or takes too much.
    pub fn save_state(&mut self) -> Result<String> {
        let call = |loss: &contract::Guest, store: &mut _| loss.call_save_state(store);
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
            |loss, store| loss.call_restore_state(store, state),
            |restored, _| restored.map_err(Rejection::Failed),
        )
    }
}

impl From<contract::Requirements> for Requirements {
    fn from(requirements: contract::Requirements) -> Self {
        let contract::Requirements { input, trained_parts, reference, teacher, score_head, disable_dropout } =
            requirements;
        let input = match input {
            contract::Input::Causal => Input::Causal,
            contract::Input::PreferencePairs => Input::PreferencePairs,
            contract::Input::UnpairedPreference => Input::UnpairedPreference,
            contract::Input::UnpairedPreferenceWithMismatches => Input::UnpairedPreferenceWithMismatches,
            contract::Input::Labelled => Input::Labelled,
            contract::Input::Groups => Input::Groups,
            contract::Input::Rollouts => Input::Rollouts,
        };
        let trained_parts = match trained_parts {
            contract::TrainedParts::Answers => TrainedParts::Answers,
            contract::TrainedParts::LastRound => TrainedParts::LastRound,
            contract::TrainedParts::Everything => TrainedParts::Everything,
        };
        Self { input, trained_parts, reference, teacher, score_head, disable_dropout }
    }
}

fn taken(report: contract::Report, state: &mut State) -> std::result::Result<LossReport, Rejection> {
    let loss = state.scope.take(&report.loss).map_err(Rejection::Wrong)?;
    if !loss.dims().is_empty() {
        return Err(Rejection::Wrong(format!("a loss is a scalar, and its shape is {:?}", loss.dims())));
    }
    if !loss.dtype().is_float() {
        return Err(Rejection::Wrong(format!(
            "a loss is a real number, and this one is `{}`",
            loss.dtype().as_str()
        )));
    }
    let metrics = report.metrics.into_iter().map(|metric| {
        let values = state.scope.take(&metric.values).map_err(Rejection::Wrong)?;
        let weights =
            metric.weights.map(|weights| state.scope.take(&weights)).transpose().map_err(Rejection::Wrong)?;
        match &weights {
            Some(weights) if weights.dims() != values.dims() => Err(Rejection::Wrong(format!(
                "the weights of `{}` have the shape {:?}, and its values {:?}",
                metric.name,
                weights.dims(),
                values.dims()
            ))),
            _ => Ok(Metric { name: metric.name, values, weights }),
        }
    });
    Ok(LossReport { loss, metrics: metrics.collect::<std::result::Result<_, _>>()? })
}
