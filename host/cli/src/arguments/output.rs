//! Flags about what a run leaves behind.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What is logged, evaluated and saved, and when.
#[derive(Debug, Clone, Args, serde::Serialize)]
#[command(next_help_heading = "Logging and saving")]
pub(crate) struct OutputArguments {
    /// The run directory, which must be new or empty [default: output/MODEL/vN-DATE-TIME]
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: Option<PathBuf>,
    /// Steps from one log line to the next
    #[arg(long, value_name = "N", default_value_t = NonZeroU64::MIN.saturating_add(4))]
    pub(crate) logging_steps: NonZeroU64,
    /// Log the first step too
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) logging_first_step: bool,
    /// When to save a checkpoint; the last step is saved too unless `no`
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Strategy::Steps)]
    pub(crate) save_strategy: Strategy,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = NonZeroU64::MIN.saturating_add(499))]
    pub(crate) save_steps: NonZeroU64,
    /// Checkpoints to keep; older ones are removed, but never the best [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) save_total_limit: Option<NonZeroUsize>,
    /// When to evaluate the validation set [default: steps if there is one]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub(crate) eval_strategy: Option<Strategy>,
    /// Steps from one evaluation to the next [default: the value of --save-steps]
    #[arg(long, value_name = "N")]
    pub(crate) eval_steps: Option<NonZeroU64>,
    /// Evaluate before the first step too
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) eval_on_start: bool,
    /// The number of an evaluation that says which checkpoint is best
    #[arg(long, value_name = "NAME", default_value = "loss")]
    pub(crate) metric_for_best_model: String,
    /// More of it is better [default: false if its name ends in `loss`, else true]
    #[arg(long, action = clap::ArgAction::Set)]
    pub(crate) greater_is_better: Option<bool>,
}

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Strategy {
    /// Never
    No,
    /// Every so many steps
    Steps,
    /// After each epoch
    Epoch,
}
