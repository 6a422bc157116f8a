//! Where a run is, to the last bit: what a checkpoint holds besides weights and optimiser.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::gradient_scale::GradientScale;
use crate::metrics::{Metrics, Numbers};
use crate::number::Number;
use crate::rollouts::Generation;
use crate::{Error, Result, RunLock, TrainerOptions, checkpoint};

/// Changes when a checkpoint of before can't be read any more.
const FORMAT: u32 = 1;

/// The file with what resuming needs.
const RESUME_FILE: &str = "resume.json";
/// The file that tools for transformers' checkpoints read; the log history is in it.
const STATE_FILE: &str = "trainer_state.json";

/// The state of the loop between two steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Optimiser steps taken.
    pub(crate) step: u64,
    /// The pass over the data that the next window is of, and its number in it.
    pub(crate) epoch: u64,
    pub(crate) window: u64,
    /// Passes done, with the fraction of the current one, for log lines.
    pub(crate) epochs_done: Number,
    /// The learning rate of the last step, and the norm of its gradients.
    pub(crate) learning_rate: Number,
    pub(crate) gradient_norm: Number,
    /// The sum of the losses of all steps.
    pub(crate) total_loss: Number,
    /// What was observed since the last log line.
    pub(crate) since_log: SinceLog,
    /// What callbacks want done.
    pub(crate) pending: Pending,
    pub(crate) best: Option<Best>,
    /// The steps of the newest checkpoint.
    pub(crate) saved: Option<u64>,
    /// What gradients are scaled by, if they are computed in `float16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gradient_scale: Option<GradientScale>,
    /// The answers that are being learned from, between two steps on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<Generation>,
    #[serde(skip)]
    pub(crate) history: Vec<Numbers>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SinceLog {
    pub(crate) steps: u64,
    pub(crate) loss: Number,
    pub(crate) metrics: Metrics,
}

/// What callbacks have asked for and has not been done yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) save: bool,
    pub(crate) evaluate: bool,
    /// Who asked, and why.
    pub(crate) stop: Option<(String, String)>,
    /// For the next log line.
    pub(crate) numbers: Vec<(String, Number)>,
}

/// The best evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    pub(crate) metric: Number,
    pub(crate) step: u64,
    /// The steps of the best checkpoint. The best evaluation may have been between two checkpoints.
    pub(crate) checkpoint: Option<u64>,
}

/// A callback's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CallbackState {
    pub(crate) name: String,
    pub(crate) state: String,
}

/// How long the run's files were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileLengths {
    pub(crate) log: u64,
    pub(crate) events: u64,
    pub(crate) events_name: String,
    /// None if there is no such file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) completions: Option<u64>,
}

/// All of `resume.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    format: u32,
    pub(crate) progress: Progress,
    /// The loss's state.
    #[serde(default)]
    pub(crate) loss: String,
    pub(crate) callbacks: Vec<CallbackState>,
    pub(crate) files: FileLengths,
    pub(crate) lock: RunLock,
}

impl Saved {
    pub(crate) fn new(
        progress: Progress,
        loss: String,
        callbacks: Vec<CallbackState>,
        files: FileLengths,
        lock: RunLock,
    ) -> Self {
        Self { format: FORMAT, progress, loss, callbacks, files, lock }
    }

    pub(crate) fn write(&self, checkpoint: &Path) -> Result<()> {
        checkpoint::write_json(&checkpoint.join(RESUME_FILE), self)
    }

    /// Reads what [`Self::write`] and [`write_state`] wrote.
    pub(crate) fn read(checkpoint: &Path) -> Result<Self> {
        let path = checkpoint.join(RESUME_FILE);
        let file = read_json(&path)?;
        match file.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            _ => return Err(Error::damaged(&path, "it was written by another version of this program")),
        }
        let mut saved: Self = serde_json::from_value(file).map_err(|error| Error::damaged(&path, error))?;
        let path = checkpoint.join(STATE_FILE);
        let history = read_json(&path)?.get("log_history").cloned().unwrap_or_default();
        saved.progress.history =
            serde_json::from_value(history).map_err(|error| Error::damaged(&path, error))?;
        Ok(saved)
    }
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).map_err(Error::read(path))?;
    serde_json::from_slice(&text).map_err(|error| Error::damaged(path, error))
}

impl Progress {
    /// The best checkpoint of the run in `run`.
    pub(crate) fn best_checkpoint(&self, run: &Path) -> Option<PathBuf> {
        Some(checkpoint::folder(run, self.best.as_ref()?.checkpoint?))
    }

    /// Whether `value` is better than all before; a value that is no number is not.
    pub(crate) fn improves(&self, value: f64, greater_is_better: bool) -> bool {
        match &self.best {
            Some(best) if greater_is_better => value > best.metric.0,
            Some(best) => value < best.metric.0,
            None => !value.is_nan(),
        }
    }
}

/// Writes `trainer_state.json` with the keys of transformers' `TrainerState`.
pub(crate) fn write_state(
    checkpoint: &Path,
    run: &Path,
    progress: &Progress,
    plan: &Plan,
    options: &TrainerOptions,
) -> Result<()> {
    let best = progress.best.as_ref();
    let state = json!({
        "best_global_step": best.map(|best| best.step),
        "best_metric": best.map(|best| best.metric.0),
        "best_model_checkpoint": progress.best_checkpoint(run),
        "epoch": progress.epochs_done.0,
        "eval_steps": options.evaluate.steps(),
        "global_step": progress.step,
        "is_hyper_param_search": false,
        "is_local_process_zero": true,
        "is_world_process_zero": true,
        "log_history": progress.history,
        "logging_steps": options.logging_steps,
        "max_steps": plan.max_steps,
        "num_input_tokens_seen": 0,
        "num_train_epochs": plan.epochs,
        "save_steps": options.save.steps(),
        "stateful_callbacks": {},
        "total_flos": 0.0,
        "train_batch_size": null,
        "trial_name": null,
        "trial_params": null,
    });
    checkpoint::write_json(&checkpoint.join(STATE_FILE), &state)
}

/// How long a run is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) max_steps: u64,
    /// Passes over the data, the last maybe cut short.
    pub(crate) epochs: u64,
}

impl Plan {
    /// As transformers computes it: a number of steps, or else `epochs` times the windows of an epoch, rounded up.
    pub(crate) fn new(options: &TrainerOptions, windows_per_epoch: usize) -> Result<Self> {
        let epochs = options.num_train_epochs;
        let windows = windows_per_epoch.max(1) as u64;
        let max_steps = match options.max_steps {
            Some(steps) => steps.get(),
            None if epochs.is_finite() && epochs > 0.0 => (epochs * windows as f64).ceil() as u64,
            None => {
                return Err(Error::setting(
                    "num-train-epochs",
                    format!("is `{epochs}`, but must be above 0"),
                ));
            }
        };
        Ok(Self { max_steps, epochs: max_steps.div_ceil(windows) })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    #[test]
    fn steps_are_counted_as_transformers_does() {
        let plan = |epochs, max_steps, windows| {
            let max_steps = NonZeroU64::new(max_steps);
            let options = TrainerOptions { num_train_epochs: epochs, max_steps, ..TrainerOptions::default() };
            Plan::new(&options, windows).map(|plan| (plan.max_steps, plan.epochs))
        };
        assert_eq!(plan(3.0, 0, 4).unwrap(), (12, 3));
        assert_eq!(plan(0.5, 0, 3).unwrap(), (2, 1));
        assert_eq!(plan(100.0, 6, 4).unwrap(), (6, 2));
        assert!(plan(0.0, 0, 4).unwrap_err().to_string().starts_with("`--num-train-epochs` is `0`"));
    }

    #[test]
    fn progress_survives_a_checkpoint_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let history = vec![json!({ "loss": 0.1 + 0.2, "step": 3 }).as_object().unwrap().clone()];
        let progress = Progress {
            step: 3,
            window: 1,
            total_loss: Number(1.0 / 3.0),
            learning_rate: Number(f64::INFINITY),
            pending: Pending { stop: Some(("a".into(), "b".into())), ..Pending::default() },
            best: Some(Best { metric: Number(0.7), step: 2, checkpoint: None }),
            history,
            ..Progress::default()
        };
        let saved = Saved::new(
            progress.clone(),
            "state".into(),
            Vec::new(),
            FileLengths::default(),
            RunLock::default(),
        );
        saved.write(folder.path()).unwrap();
        let plan = Plan { max_steps: 6, epochs: 2 };
        write_state(folder.path(), Path::new("run"), &progress, &plan, &TrainerOptions::default()).unwrap();
        assert_eq!(Saved::read(folder.path()).unwrap(), saved);
    }

    #[test]
    fn the_best_is_the_lowest_or_the_highest_and_never_no_number() {
        let mut progress = Progress::default();
        assert!(!progress.improves(f64::NAN, false) && progress.improves(5.0, false));
        progress.best = Some(Best { metric: Number(5.0), step: 1, checkpoint: None });
        assert!(progress.improves(4.0, false) && !progress.improves(5.0, false));
        assert!(progress.improves(6.0, true) && !progress.improves(f64::NAN, true));
    }
}
