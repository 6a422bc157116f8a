//! Flags about the optimisation.

use std::num::NonZeroUsize;

use clap::Args;
use clap::builder::PossibleValuesParser;

/// How the model is trained.
#[derive(Debug, Clone, Args, serde::Serialize)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArguments {
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 3.0)]
    pub(crate) num_train_epochs: f64,
    /// Optimiser steps, in place of a number of epochs; -1 for no limit
    #[arg(long, value_name = "N", default_value_t = -1)]
    pub(crate) max_steps: i64,
    /// Rows in a micro-batch
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    pub(crate) per_device_train_batch_size: NonZeroUsize,
    /// Rows in a batch of the validation set
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    pub(crate) per_device_eval_batch_size: NonZeroUsize,
    /// Micro-batches in an optimiser step [default: as many as make 16 rows]
    #[arg(long, value_name = "N")]
    pub(crate) gradient_accumulation_steps: Option<NonZeroUsize>,
    /// Peak learning rate [default: 1e-4 for adapters, 1e-5 for --tuner-type full]
    #[arg(long, value_name = "X")]
    pub(crate) learning_rate: Option<f64>,
    /// How the learning rate changes after the warm-up
    #[arg(long, value_name = "NAME", default_value = "cosine", value_parser = PossibleValuesParser::new(swift_train::schedule_names()))]
    pub(crate) lr_scheduler_type: String,
    /// Settings of the schedule as a JSON object: `{"min_lr": 1e-5}` or `{"min_lr_rate": 0.1}` for cosine_with_min_lr,
    /// `{"num_cycles": 0.5}` for both cosines
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub(crate) lr_scheduler_kwargs: Option<JsonObject>,
    /// Share of the steps in which the learning rate rises
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) warmup_ratio: f64,
    /// Steps in which the learning rate rises, in place of a share
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) warmup_steps: u64,
    /// Decay of weights; biases and norms have none
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    pub(crate) weight_decay: f64,
    /// AdamW's memory of the gradient
    #[arg(long, value_name = "X", default_value_t = 0.9)]
    pub(crate) adam_beta1: f64,
    /// AdamW's memory of the squared gradient
    #[arg(long, value_name = "X", default_value_t = 0.95)]
    pub(crate) adam_beta2: f64,
    /// AdamW's guard against a division by zero
    #[arg(long, value_name = "X", default_value = "1e-8")]
    pub(crate) adam_epsilon: f64,
    /// Norm that gradients are clipped to; 0 for no clipping
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) max_grad_norm: f64,
    /// Factor on the loss that keeps the experts of a model evenly used; refused for a model without such a loss
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    pub(crate) router_aux_loss_coef: f64,
    /// Recompute activations in the backward pass, which saves memory and costs time
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) gradient_checkpointing: bool,
    /// Seed of everything that is random
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Go on from a checkpoint, exactly: its folder, or `last` for the newest in --output-dir
    #[arg(long, value_name = "DIR|last")]
    pub(crate) resume_from_checkpoint: Option<String>,
}

/// A JSON object.
pub(crate) type JsonObject = serde_json::Map<String, serde_json::Value>;

pub(crate) fn json_object(text: &str) -> Result<JsonObject, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}
