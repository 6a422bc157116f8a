//! What can be said on the command line.
//!
//! One struct per heading of the help text; a field is a flag, its documentation is the flag's help, and its name is the
//! key of `args.json`. A recipe has the same keys. Defaults that depend on something else are `None` here and filled in
//! by [`crate::settings`].

mod adapter;
mod data;
mod device;
mod model;
mod output;
mod plugin;
mod quantisation;
mod rollout;
mod training;

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Args, Parser, Subcommand};

pub(crate) use crate::author::{BuildArguments, NewArguments};
pub(crate) use adapter::{AdapterArguments, Tuner};
pub(crate) use data::{ColumnNames, DataArguments, Packing, Truncation, column_names};
pub(crate) use device::DeviceArguments;
pub(crate) use model::{Dtype, ModelArguments, Precision};
pub(crate) use output::{OutputArguments, Strategy};
pub(crate) use plugin::PluginArguments;
pub(crate) use quantisation::QuantisationArguments;
pub(crate) use rollout::{ESTIMATORS, RolloutArguments, SCALES, SHARED};
pub(crate) use training::{JsonObject, TrainingArguments, json_object};

use crate::check::CheckArguments;
use crate::deploy::DeployArguments;
use crate::export::ExportArguments;
use crate::infer::InferArguments;
use crate::models::ModelsArguments;

/// Fine-tunes and aligns large language models. What a loss is, how a model is wired, how rows become samples and what
/// happens between steps is decided by plugins: WebAssembly components that see what they are handed and nothing else.
#[derive(Debug, Parser)]
#[command(name = "swift-host", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model with the loss of a plugin
    Run(Box<RunArguments>),
    /// Answer the questions of a dataset, or chat in the terminal
    Infer(Box<InferArguments>),
    /// Serve a model over HTTP, with OpenAI's interface
    Deploy(Box<DeployArguments>),
    /// List published models, or show what is known of one
    Models(ModelsArguments),
    /// Write a model with an adapter in its weights
    Export(Box<ExportArguments>),
    /// Find, make, check and publish plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// List the standard plugins
    List,
    /// Show what a plugin is: kinds, version, parameters, digest
    Inspect {
        /// Name of a standard plugin, path of a component, or reference (`oci://…`, `https://…#sha256=…`)
        plugin: String,
    },
    /// Upload a plugin to an OCI registry, and print the reference that names it forever
    Publish {
        /// Path of a component
        file: PathBuf,
        /// Where to: `oci://HOST/REPOSITORY:TAG`
        reference: String,
    },
    /// Make a project that builds and passes its own test
    New(NewArguments),
    /// Build a project into a component
    Build(BuildArguments),
    /// Check a plugin on seeded data: gradients, determinism, handles, shapes, time
    Check(CheckArguments),
}

/// The arguments of `swift-host run`.
#[derive(Debug, Clone, Args, serde::Serialize)]
pub(crate) struct RunArguments {
    /// A recipe: a TOML file whose keys are the flags below. Flags win over the recipe
    #[arg(value_name = "RECIPE.toml")]
    #[serde(skip)]
    pub(crate) recipe: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) plugins: PluginArguments,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) model: ModelArguments,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) data: DataArguments,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) adapter: AdapterArguments,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) training: TrainingArguments,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) rollout: RolloutArguments,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) output: OutputArguments,
}

/// Adds to every flag of `run` what the derive cannot say once for all: a boolean takes `true` or `false`, alone it means
/// `true`; a number may be negative.
pub(crate) fn finish(run: clap::Command) -> clap::Command {
    run.mut_args(|argument| {
        let argument = argument.allow_negative_numbers(true);
        if argument.get_value_parser().type_id() == ValueParser::bool().type_id()
            && argument.get_long().is_some()
        {
            argument
                .num_args(0..=1)
                .default_missing_value("true")
                .value_name("BOOL")
                .hide_possible_values(true)
        } else {
            argument
        }
    })
}

/// All long names of a flag.
pub(crate) fn spellings(argument: &clap::Arg) -> impl Iterator<Item = &str> {
    argument.get_long().into_iter().chain(argument.get_all_aliases().unwrap_or_default())
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::*;

    /// The arguments of `run` with a model, a dataset and these words.
    pub(crate) fn arguments(words: &[&str]) -> RunArguments {
        let run = finish(CommandLine::command().find_subcommand("run").unwrap().clone());
        let words = ["run", "--model=m", "--dataset=d"].into_iter().chain(words.iter().copied());
        RunArguments::from_arg_matches(&run.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().mut_subcommand("run", finish).debug_assert();
    }

    #[test]
    fn booleans_take_a_value_or_none() {
        assert!(arguments(&["--packing"]).data.packing);
        assert!(arguments(&["--packing", "true"]).data.packing);
        assert!(!arguments(&["--gradient-checkpointing", "false"]).training.gradient_checkpointing);
        assert_eq!(arguments(&["--max-steps", "-1"]).training.max_steps, -1);
    }
}
