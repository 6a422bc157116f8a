//! The trainer, and what a run leaves behind.
//!
//! [`Training`] brings a model, a loss, data and settings together, and [`Training::run`] takes the steps. A step is a
//! *window* of micro-batches: the loss of each is a share of that of the window, their gradients are summed in
//! [`Gradients`], clipped by their common norm, and given to the optimiser at the learning rate of the schedule.
//! Between steps, [`Callback`]s are told what happened and say what shall be done, lines are logged, the validation set is
//! evaluated, and checkpoints are written.
//!
//! A run is exact. What it computes depends on its inputs, whose digests are in its [`RunLock`], and on nothing else: no
//! clock, no number of threads, no order of a hash map; all chance comes from counters. A checkpoint holds the whole
//! state, so a resumed run gives the same bytes as one that was never interrupted, its log included.
//!
//! Nothing is printed here: an [`Observer`] hears of everything.

mod advantage;
mod append;
mod batch;
mod checkpoint;
mod clock;
mod curves;
mod error;
mod file_digests;
mod gradient_scale;
mod layout;
mod learner;
mod metrics;
mod number;
mod observer;
mod optimizer;
mod parts;
mod progress;
mod random;
mod rollouts;
mod run;
mod run_directory;
mod run_lock;
mod schedule;
mod settings;
mod sink;
mod statistics;
mod tensor_file;
mod tensorboard;
mod training;
mod values;

pub use advantage::{Baseline, Deviation, Estimator, Scale};
pub use checkpoint::{LastCheckpoint, last_checkpoint, verify_checkpoint};
pub use error::{Error, Result};
pub use file_digests::FileDigests;
pub use layout::row_shape;
pub use metrics::Numbers;
pub use observer::{Observer, RunStarted};
pub use parts::{Callback, Loss, Metric, Reward, ScheduleRule, UpdateRule};
pub use rollouts::{RolloutOptions, Rollouts};
pub use run_directory::require_empty;
pub use run_lock::{LockedData, LockedPlugin, RunLock};
pub use schedule::{ScheduleOptions, Warmup, schedule_names};
pub use settings::{TrainerOptions, When};
pub use sink::{Gradients, clip_factor};
pub use statistics::{model_parameter_info, token_lengths};
pub use training::{Ending, Output, Summary, Training};
