//! Flags about what of the model is trained.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How the model is adapted.
#[derive(Debug, Clone, Args, serde::Serialize)]
#[command(next_help_heading = "Adapter")]
pub(crate) struct AdapterArguments {
    /// What is trained
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Tuner::Lora, aliases = ["train-type", "sft-type"])]
    pub(crate) tuner_type: Tuner,
    /// Folder of a PEFT adapter to go on from, in place of a new one
    #[arg(long, value_name = "DIR")]
    pub(crate) adapters: Option<PathBuf>,
    /// Rank of the adapter
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) lora_rank: usize,
    /// Scale of the adapter, which is multiplied with alpha / rank
    #[arg(long, value_name = "X", default_value_t = 32.0)]
    pub(crate) lora_alpha: f64,
    /// Share of the adapter's inputs that is dropped in training
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    pub(crate) lora_dropout: f64,
    /// Linear layers that get an adapter, by the end of their names; `all-linear` is all but the output projection
    #[arg(long, value_name = "NAME", num_args = 1.., default_value = "all-linear")]
    pub(crate) target_modules: Vec<String>,
    /// Weights that get an adapter as PEFT's target parameters do, by the end of their names: stacks of experts, and what PEFT
    /// does not take for a linear layer; without dropout
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) target_parameters: Vec<String>,
    /// Scale with alpha / sqrt(rank)
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) use_rslora: bool,
    /// Train the magnitude of each weight row apart from its direction
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) use_dora: bool,
    /// LoRA+: the learning rate of the B matrices is this many times that of the others
    #[arg(long, value_name = "X")]
    pub(crate) lorap_lr_ratio: Option<f64>,
}

/// What of the model is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tuner {
    /// Two small matrices beside each linear layer
    Lora,
    /// Every parameter
    Full,
}
