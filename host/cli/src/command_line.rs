//! From words to arguments and plugins.
//!
//! Which flags exist depends on the plugins, and which plugins take part is said by flags, or by a recipe that is named
//! among them. So the words are read twice: a first look, which lets unknown flags pass, finds the recipe and the
//! plugins; then the plugins' parameters join the flags, and everything is parsed in earnest.

use std::collections::HashSet;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser as _};

use crate::arguments::{Command, CommandLine, PluginCommand, RunArguments, finish, spellings};
use crate::migrating::WITHOUT_EFFECT;
use crate::normalise::{flag_names, normalise};
use crate::plugins::{Plugins, Selection, Values};
use crate::recipe::{self, Recipe};
use crate::report::{UsageError, context};

/// What an existing adapter decides by itself.
const SETTINGS_OF_ADAPTERS: &[&str] =
    &["lora-rank", "lora-alpha", "lora-dropout", "target-modules", "use-rslora", "use-dora"];

/// What shall be done.
pub(crate) enum Invocation {
    Run(Box<Run>),
    Plugin(PluginCommand),
}

/// A run that shall be done.
pub(crate) struct Run {
    pub(crate) arguments: RunArguments,
    pub(crate) selection: Selection,
    /// The hyper-parameters that were given, for each plugin.
    pub(crate) values: Values,
    /// All that was said, as a recipe.
    pub(crate) said: toml::Table,
    /// What the user should know of flags that were accepted without effect.
    pub(crate) notes: Vec<String>,
}

/// Understands the words of a command line, the first being the executable's name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> anyhow::Result<(Invocation, Plugins)> {
    let mut words = normalise(words);
    // There are no flags before the verb.
    let flags = match words.split_at_checked(2) {
        Some(([_, verb], flags)) if verb == "run" => flags,
        _ => {
            return match CommandLine::try_parse_from(&words)?.command {
                Command::Plugin(command) => Ok((Invocation::Plugin(command), Plugins::standard()?)),
                Command::Run(_) => anyhow::bail!("`run` must be the first word"),
            };
        }
    };
    let FirstLook { recipe, plugins: names, threads } = first_look(flags)?;
    start_threads(threads)?;
    let plugins = Plugins::standard()?;
    let selection = plugins.select(&names)?;

    let mut command = CommandLine::command().mut_subcommand("run", |run| extend(run, &selection));
    let run = run_command(&command);
    recipe.check(&run)?;
    let given: HashSet<&str> = flag_names(&words).collect();
    let from_recipe = recipe.arguments(&given);
    words.splice(2..2, from_recipe);
    let matches = command.try_get_matches_from_mut(words).map_err(|error| explain(error, &selection))?;
    let matches = matches.subcommand_matches("run").unwrap_or(&matches);
    let arguments = RunArguments::from_arg_matches(matches)?;
    let values = selection.values(&arguments.plugins.plugin_arg, matches)?;
    let said = recipe::merged(&run, matches);
    let notes = notes(matches);
    Ok((Invocation::Run(Box::new(Run { arguments, values, said, notes, selection })), plugins))
}

/// What must be known before everything can be understood.
struct FirstLook {
    recipe: Recipe,
    plugins: Vec<String>,
    threads: Option<NonZeroUsize>,
}

/// Looks for the recipe, the plugins and the number of threads, and lets unknown flags pass.
fn first_look(flags: &[OsString]) -> anyhow::Result<FirstLook> {
    let run = finish(run_command(&CommandLine::command()));
    let known: HashSet<&str> = run.get_arguments().flat_map(spellings).collect();
    let unknown: HashSet<&str> = flag_names(flags).filter(|flag| !known.contains(flag)).collect();
    let passing = unknown.into_iter().map(|flag| {
        let argument = Arg::new(flag.to_owned()).long(flag.to_owned()).num_args(0..=1);
        argument.action(ArgAction::Append).allow_negative_numbers(true)
    });
    let passing: Vec<Arg> = passing.collect();
    let matches: ArgMatches = run
        .mut_args(|argument| argument.required(false))
        .disable_help_flag(true)
        .arg(Arg::new("short help").short('h').action(ArgAction::SetTrue))
        .args(passing)
        .try_get_matches_from(std::iter::once(&OsString::from("run")).chain(flags))?;
    let recipe =
        matches.get_one::<PathBuf>("recipe").map(|path| Recipe::read(path)).transpose()?.unwrap_or_default();
    let in_recipe = |flag| recipe.get(flag).unwrap_or_default().iter();
    let plugins = match matches.get_many::<String>("plugin") {
        Some(names) => names.cloned().collect(),
        None => in_recipe("plugin").flat_map(|names| names.split(',')).map(str::to_owned).collect(),
    };
    // One that is no number is refused later.
    let threads = matches
        .get_one("threads")
        .copied()
        .or_else(|| in_recipe("threads").find_map(|text| text.parse().ok()));
    Ok(FirstLook { plugins, threads, recipe })
}

/// Starts the pool of threads that everything is computed on; compiling plugins is the first to use it.
fn start_threads(count: Option<NonZeroUsize>) -> anyhow::Result<()> {
    // 0 stands for one thread per core.
    let count = count.map_or(0, NonZeroUsize::get);
    Ok(rayon::ThreadPoolBuilder::new().num_threads(count).build_global()?)
}

/// Flags that were given and change nothing, with the reason.
fn notes(matches: &ArgMatches) -> Vec<String> {
    let given = |flag: &str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    let without_effect = WITHOUT_EFFECT.iter().filter(|(flag, _)| given(flag)).copied();
    let decided = |flags: &'static [&'static str], reason: &'static str, condition: bool| {
        flags
            .iter()
            .filter(move |flag| condition && given(&flag.replace('-', "_")))
            .map(move |flag| (*flag, reason))
    };
    let by_adapter = decided(SETTINGS_OF_ADAPTERS, "the folder in `--adapters` says it", given("adapters"));
    let notes = without_effect.chain(by_adapter);
    notes.map(|(flag, reason)| format!("`--{flag}` has no effect: {reason}")).collect()
}

/// `run` with the flags that its derive does not know.
fn extend(run: clap::Command, selection: &Selection) -> clap::Command {
    let without_effect = WITHOUT_EFFECT
        .iter()
        .map(|(flag, _)| Arg::new(*flag).long(*flag).num_args(0..=1).hide(true).allow_hyphen_values(true));
    let run = finish(run).args(without_effect);
    let flags = selection.flags(&run);
    run.args(flags)
}

fn run_command(command: &clap::Command) -> clap::Command {
    command.find_subcommand("run").cloned().unwrap_or_default()
}

/// Says why a parameter that several plugins have is not a flag.
fn explain(error: clap::Error, selection: &Selection) -> anyhow::Error {
    let flag =
        context(&error, ContextKind::InvalidArg).unwrap_or_default().trim_start_matches('-').to_owned();
    match selection.owners_of_flag(&flag).as_slice() {
        [first, _, ..] if error.kind() == ErrorKind::UnknownArgument => {
            let key = flag.replace('-', "_");
            UsageError::new(format!("Several plugins have a parameter `{key}`"))
                .hint(format!("say which one is meant: `--plugin-arg {first}.{key}=VALUE`"))
                .into()
        }
        _ => error.into(),
    }
}
