//! Flags about data.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::training::{JsonObject, json_object};

/// What the model is trained on, and how rows become tokens.
#[derive(Debug, Clone, Args, serde::Serialize)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArguments {
    /// Training files: JSON, JSONL, CSV or plain text. `#N` takes N rows: fewer than there are at random, more by repetition
    #[arg(long, value_name = "PATH[#N]", num_args = 1.., required = true)]
    pub(crate) dataset: Vec<String>,
    /// Validation files
    #[arg(long, value_name = "PATH[#N]", num_args = 1..)]
    pub(crate) val_dataset: Vec<String>,
    /// Other names for columns of the files, as a JSON object: `{"chat": "messages"}` reads `chat` as `messages`
    #[arg(long, value_name = "JSON", value_parser = column_names)]
    pub(crate) columns: Option<ColumnNames>,
    /// Shuffle the rows of the training files before anything else
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) dataset_shuffle: bool,
    /// Draw the rows in a new order in each epoch
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) train_dataloader_shuffle: bool,
    /// Seed of everything that concerns data [default: the value of --seed]
    #[arg(long, value_name = "N")]
    pub(crate) data_seed: Option<u64>,
    /// Chat template by name [default: the one in the model's folder, or else the one that `swift-host models` shows]
    #[arg(long, value_name = "NAME")]
    pub(crate) template: Option<String>,
    /// Use a chat template; without one, texts are trained on as they are [default: unless the loss trains on every token]
    #[arg(long, action = clap::ArgAction::Set)]
    pub(crate) use_chat_template: Option<bool>,
    /// How tools are described and called, by name [default: as the template does it]
    #[arg(long, value_name = "NAME")]
    pub(crate) agent_template: Option<String>,
    /// What an answer begins with [default: as the template has it]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) response_prefix: Option<String>,
    /// Ask for thoughts before answers, where the template has a form for it [default: as the template does it]
    #[arg(long, action = clap::ArgAction::Set)]
    pub(crate) enable_thinking: Option<bool>,
    /// Variables for the chat template, as a JSON object: `{"enable_thinking": false}`. A row's own column of this name wins
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub(crate) chat_template_kwargs: Option<JsonObject>,
    /// The date that a chat template takes for today's, so that the same run gives the same model on every day
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2024-07-26")]
    pub(crate) template_date: jiff::civil::Date,
    /// System prompt of rows that bring none [default: the template's]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) system: Option<String>,
    /// Longest row in tokens [default: what the model allows]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_length: Option<usize>,
    /// What becomes of a longer row
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Truncation::Delete)]
    pub(crate) truncation_strategy: Truncation,
    /// What is trained on: `default` (every answer), `last_round` (the last one) or `all` (every token), and rules for words
    /// of answers: `last_round+hermes` [default: as the loss has it]
    #[arg(long, value_name = "NAME[+RULE]")]
    pub(crate) loss_scale: Option<String>,
    /// Keep the thoughts of earlier answers in a conversation [default: as the template does it]
    #[arg(long, action = clap::ArgAction::Set)]
    pub(crate) preserve_thinking: Option<bool>,
    /// Put empty thoughts before answers without any, where the template has a form for it
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) add_non_thinking_prefix: bool,
    /// Fill each row of a batch with several samples
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) packing: bool,
    /// Tokens in a filled row [default: the value of --max-length]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) packing_length: Option<usize>,
    /// How rows are filled
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Packing::Binpack)]
    pub(crate) packing_strategy: Packing,
}

/// New names by old ones.
pub(crate) type ColumnNames = BTreeMap<String, String>;

pub(crate) fn column_names(text: &str) -> Result<ColumnNames, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object of names: {error}"))
}

/// How rows are filled with samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Packing {
    /// From long to short, each into the emptiest row with room: few, full rows
    Binpack,
    /// In order, a new row when a sample does not fit
    Sequential,
}

/// What becomes of a row that is longer than `--max-length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Truncation {
    /// The row is left out, and counted
    Delete,
    /// Its beginning is cut off
    Left,
    /// Its end is cut off
    Right,
    /// It becomes several, each as long as can be (for losses on one conversation a row)
    Split,
}
