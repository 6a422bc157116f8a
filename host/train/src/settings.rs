use std::num::{NonZeroU64, NonZeroUsize};

use swift_tensor::AdamW;

use crate::schedule::ScheduleOptions;

/// How a model is trained. The defaults are those of ms-swift for an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerOptions {
    /// Passes over the data, maybe a fraction. `max_steps` is stronger.
    pub num_train_epochs: f64,
    /// Optimiser steps; as many as `num_train_epochs` makes if none.
    pub max_steps: Option<NonZeroU64>,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: ScheduleOptions,
    /// Part of a weight taken away per step, times the learning rate. Biases and norms have none.
    pub weight_decay: f64,
    /// The constants of AdamW.
    pub adam: AdamW,
    /// Factor on the learning rate of the `B` matrices of an adapter (LoRA+, Hayou et al. 2024).
    pub lorap_lr_ratio: Option<f64>,
    /// The global norm that gradients are clipped to; 0 for no clipping.
    pub max_grad_norm: f64,
    /// Whether stages are computed again on the way back, which saves memory.
    pub recompute: bool,
    /// Whether the model was told to add a loss of its own; that it adds none is an error then.
    pub model_adds_loss: bool,
    /// Seed of dropout.
    pub seed: u64,
    /// Steps from one log line to the next.
    pub logging_steps: NonZeroU64,
    /// Whether the first step is logged too.
    pub logging_first_step: bool,
    /// When a checkpoint is written; also after the last step unless never.
    pub save: When,
    /// Checkpoints kept; all if none. The newest and the best are always among them.
    pub save_total_limit: Option<NonZeroUsize>,
    /// When the validation set is evaluated; also after the last step unless never.
    pub evaluate: When,
    /// Whether the validation set is evaluated before the first step too.
    pub eval_on_start: bool,
    /// Rows in a batch of the validation set.
    pub eval_batch_size: NonZeroUsize,
    /// The number of an evaluation that says which checkpoint is best, with or without `eval_` before it.
    pub metric_for_best_model: String,
    /// Whether more of it is better.
    pub greater_is_better: bool,
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            num_train_epochs: 3.0,
            max_steps: None,
            learning_rate: 1e-4,
            schedule: ScheduleOptions::default(),
            weight_decay: 0.1,
            adam: AdamW { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 },
            lorap_lr_ratio: None,
            max_grad_norm: 1.0,
            recompute: true,
            model_adds_loss: false,
            seed: 42,
            logging_steps: NonZeroU64::MIN.saturating_add(4),
            logging_first_step: true,
            save: When::Steps(NonZeroU64::MIN.saturating_add(499)),
            save_total_limit: None,
            evaluate: When::Steps(NonZeroU64::MIN.saturating_add(499)),
            eval_on_start: false,
            eval_batch_size: NonZeroUsize::MIN,
            metric_for_best_model: "loss".into(),
            greater_is_better: false,
        }
    }
}

/// When something that is done now and then is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Never.
    Never,
    /// Every so many steps.
    Steps(NonZeroU64),
    /// After each pass over the data.
    Epoch,
}

impl When {
    /// Whether it is due after `step` steps.
    pub(crate) fn due(self, step: u64, epoch_ended: bool, last: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Steps(every) => last || step.is_multiple_of(every.get()),
            Self::Epoch => last || epoch_ended,
        }
    }

    /// The number of steps, if it goes by steps.
    pub(crate) fn steps(self) -> Option<u64> {
        match self {
            Self::Steps(every) => Some(every.get()),
            _ => None,
        }
    }
}
