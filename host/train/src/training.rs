use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use swift_data::{BatchPlan, Dataset};
use swift_model::Model;

use crate::metrics::Numbers;
use crate::run::Run;
use crate::{
    Callback, Loss, Metric, Observer, Result, Rollouts, RunLock, ScheduleRule, TrainerOptions, UpdateRule,
};

/// All that a run needs.
pub struct Training {
    /// The model. What of it is trained is said by its own methods.
    pub model: Model,
    /// The reference model. A loss that needs one and gets none takes the model without its adapter.
    pub reference: Option<Model>,
    /// The teacher model of losses that need one.
    pub teacher: Option<Model>,
    /// What is learned.
    pub loss: Box<dyn Loss>,
    /// Who looks on and steers, asked in this order.
    pub callbacks: Vec<Box<dyn Callback>>,
    /// What is measured on the validation set besides the loss.
    pub metrics: Vec<Box<dyn Metric>>,
    /// How the learning rate changes, in place of the schedule of the options.
    pub schedule: Option<Box<dyn ScheduleRule>>,
    /// How parameters follow their gradients, in place of AdamW.
    pub optimizer: Option<Box<dyn UpdateRule>>,
    /// The training set.
    pub dataset: Dataset,
    /// The order in which it is used.
    pub plan: BatchPlan,
    /// What a loss of rollouts needs: the training set is one of prompts then, and a window of the plan has those of a
    /// generation.
    pub rollouts: Option<Rollouts>,
    /// The validation set.
    pub validation: Option<Dataset>,
    /// How the model is trained.
    pub options: TrainerOptions,
    /// Where the results go.
    pub output: Output,
    /// The checkpoint to go on from. Everything else must be as it was for the run that wrote it; weights come from the
    /// checkpoint. If it lies in the output folder, that run is continued, or else a new one begins at its step.
    pub resume_from: Option<PathBuf>,
    /// Raised from outside, it makes the run finish its step, save, and end.
    pub interrupt: Arc<AtomicBool>,
}

/// Where the results of a run go.
#[derive(Clone, Debug)]
pub struct Output {
    /// The run directory: new, empty, or that of the checkpoint that is resumed from.
    pub folder: PathBuf,
    /// The content of `args.json`.
    pub arguments: Numbers,
    /// The content of `run.lock.json`.
    pub lock: RunLock,
    /// Files copied into every checkpoint.
    pub companions: Vec<PathBuf>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps were taken.
    Completed,
    /// A callback ended it.
    Stopped {
        /// Its name.
        by: String,
        /// Why.
        reason: String,
    },
    /// It was interrupted from outside, and has saved.
    Interrupted,
}

/// What a run has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// Optimiser steps taken.
    pub step: u64,
    /// Steps planned.
    pub max_steps: u64,
    /// Mean loss of all steps.
    pub train_loss: f64,
    /// The newest checkpoint.
    pub last_checkpoint: Option<PathBuf>,
    /// The best one by the validation set.
    pub best_checkpoint: Option<PathBuf>,
    /// The value that made it so.
    pub best_metric: Option<f64>,
    /// The folder of the curves.
    pub images: PathBuf,
    /// The numbers of all log lines, each with its `step`.
    pub history: Vec<Numbers>,
}

impl Training {
    /// Trains. Nothing is written before everything has been checked, and nothing stays if the first step fails.
    ///
    /// # Errors
    /// If something does not fit together, fails, or becomes NaN. Checkpoints of before stay.
    pub fn run(self, observer: &mut dyn Observer) -> Result<Summary> {
        let mut run = Run::start(self, observer)?;
        match run.all_steps() {
            Ok(ending) => run.finish(ending),
            Err(error) => {
                // Whether that succeeds or not, the error is what matters.
                let _ = run.break_off();
                Err(error)
            }
        }
    }
}
