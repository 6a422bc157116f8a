//! From words to arguments and plugins.
//!
//! Which flags exist depends on the plugins, and which plugins take part is said by flags, or by a recipe that is named
//! among them. So the words are read twice: a first look, which lets unknown flags pass, finds the recipe and the
//! plugins; then the plugins' parameters join the flags, and everything is parsed in earnest.

use std::collections::HashSet;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser as _};
use swift_runtime::{EngineOptions, Trace};

use crate::arguments::{Command, CommandLine, PluginCommand, RunArguments, finish, spellings};
use crate::console::Console;
use crate::deploy::DeployArguments;
use crate::directories;
use crate::export::ExportArguments;
use crate::grants::GrantTable;
use crate::infer::InferArguments;
use crate::migrating::WITHOUT_EFFECT;
use crate::models::ModelsArguments;
use crate::normalise::{flag_names, normalise};
use crate::plugins::{Plugins, Selection, Values};
use crate::recipe::{self, Recipe};
use crate::report::UsageError;
use crate::trace;
use crate::usage::context;

/// What an existing adapter decides by itself.
const SETTINGS_OF_ADAPTERS: &[&str] =
    &["lora-rank", "lora-alpha", "lora-dropout", "target-modules", "use-rslora", "use-dora"];

/// What shall be done.
pub(crate) enum Invocation {
    Run(Box<Run>),
    Plugin(PluginCommand),
    Deploy(Box<DeployArguments>),
    Models(ModelsArguments),
    Infer(Box<InferArguments>),
    Export(Box<ExportArguments>),
}

/// A run that shall be done.
pub(crate) struct Run {
    pub(crate) arguments: RunArguments,
    pub(crate) selection: Selection,
    /// The hyper-parameters that were given, for each plugin.
    pub(crate) values: Values,
    /// What plugins are granted.
    pub(crate) grants: GrantTable,
    /// All that was said, as a recipe.
    pub(crate) said: toml::Table,
    /// What the user should know of flags that were accepted without effect.
    pub(crate) notes: Vec<String>,
}

/// Understands the words of a command line, the first being the executable's name.
pub(crate) fn parse(
    words: impl IntoIterator<Item = OsString>,
    console: &Console,
) -> anyhow::Result<(Invocation, Plugins)> {
    let words = normalise(words);
    // There are no flags before the verb.
    if words.get(1).is_some_and(|verb| verb == "run") {
        let look = first_look(&words)?;
        start_threads(look.threads)?;
        let trace = look.trace.as_ref().map(|file| trace::start(file.as_deref(), console)).transpose()?;
        let plugins = plugins(trace)?;
        let run = understand(words, &look, &plugins)?;
        return Ok((Invocation::Run(Box::new(run)), plugins));
    }
    match CommandLine::try_parse_from(&words)?.command {
        Command::Plugin(command) => Ok((Invocation::Plugin(command), plugins(None)?)),
        Command::Models(arguments) => Ok((Invocation::Models(arguments), plugins(None)?)),
        Command::Deploy(arguments) => {
            start_threads(arguments.engine.threads)?;
            Ok((Invocation::Deploy(arguments), plugins(None)?))
        }
        Command::Infer(arguments) => {
            start_threads(arguments.engine.threads)?;
            Ok((Invocation::Infer(arguments), plugins(None)?))
        }
        Command::Export(arguments) => {
            start_threads(arguments.threads)?;
            Ok((Invocation::Export(arguments), plugins(None)?))
        }
        Command::Run(_) => anyhow::bail!("`run` must be the first word"),
    }
}

fn plugins(trace: Option<Arc<dyn Trace>>) -> anyhow::Result<Plugins> {
    let options =
        EngineOptions { cache_directory: directories::cache("plugins"), trace, ..EngineOptions::default() };
    Plugins::standard(options, directories::cache("downloads"))
}

/// Parses `run` in earnest.
fn understand(mut words: Vec<OsString>, look: &FirstLook, plugins: &Plugins) -> anyhow::Result<Run> {
    let FirstLook { recipe, plugins: names, .. } = look;
    let selection = plugins.select(names)?;
    let mut command = CommandLine::command().mut_subcommand("run", |run| extend(run, &selection));
    let run = run_command(&command);
    recipe.check(&run)?;
    let given: HashSet<&str> = flag_names(&words).collect();
    let from_recipe = recipe.arguments(&given);
    words.splice(2..2, from_recipe);
    let matches = command.try_get_matches_from_mut(words).map_err(|error| explain(error, &selection))?;
    let matches = matches.subcommand_matches("run").unwrap_or(&matches);
    let arguments = RunArguments::from_arg_matches(matches)?;
    let values = selection.values(&arguments.plugins.plugin_arg, Some(matches))?;
    let grants = GrantTable::parse(&arguments.plugins.grant, &selection)?;
    let said = recipe::merged(&run, matches);
    let mut notes = notes(matches);
    notes.extend(
        selection
            .moving(names)
            .map(|origin| format!("a tag may move: to have the same plugin again, name it `{origin}`")),
    );
    Ok(Run { arguments, values, grants, said, notes, selection })
}

/// What must be known before everything can be understood.
struct FirstLook {
    recipe: Recipe,
    plugins: Vec<String>,
    threads: Option<NonZeroUsize>,
    /// Whether operations are shown, and the file that they go to.
    trace: Option<Option<PathBuf>>,
}

/// Looks for the recipe, the plugins, the number of threads and what is traced, and lets unknown flags pass.
fn first_look(words: &[OsString]) -> anyhow::Result<FirstLook> {
    let run = finish(run_command(&CommandLine::command()));
    let known: HashSet<&str> = run.get_arguments().flat_map(spellings).collect();
    let unknown: HashSet<&str> = flag_names(words).filter(|flag| !known.contains(flag)).collect();
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
        .try_get_matches_from(words.iter().skip(1))?;
    let recipe =
        matches.get_one::<PathBuf>("recipe").map(|path| Recipe::read(path)).transpose()?.unwrap_or_default();
    let in_recipe = |flag| recipe.get(flag).unwrap_or_default().iter();
    let plugins = match matches.get_many::<String>("plugin") {
        Some(names) => names.cloned().collect(),
        None => in_recipe("plugin").flat_map(|names| names.split(',')).map(str::to_owned).collect(),
    };
    let mut plugins: Vec<String> = plugins;
    match matches.get_many::<String>("reward_plugin") {
        Some(names) => plugins.extend(names.cloned()),
        None => plugins.extend(
            ["reward-plugin", "reward-funcs"]
                .into_iter()
                .flat_map(in_recipe)
                .flat_map(|names| names.split(','))
                .map(str::to_owned),
        ),
    }
    // One that is no number is refused later.
    let threads = matches
        .get_one("threads")
        .copied()
        .or_else(|| in_recipe("threads").find_map(|text| text.parse().ok()));
    let trace = match matches.value_source("trace_plugin") {
        Some(_) => Some(matches.get_one("trace_plugin").cloned()),
        None => recipe.get("trace-plugin").map(|files| files.first().map(PathBuf::from)),
    };
    Ok(FirstLook { plugins, threads, trace, recipe })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::arguments::{Dtype, Precision};

    fn understood(words: &[&str]) -> anyhow::Result<Run> {
        let words = normalise(["swift-host", "run"].iter().chain(words).map(OsString::from));
        let plugins = Plugins::standard(EngineOptions::default(), None)?;
        understand(words.clone(), &first_look(&words)?, &plugins)
    }

    fn refused(words: &[&str]) -> String {
        match understood(words) {
            Ok(_) => panic!("{words:?} was accepted"),
            Err(error) => match error.downcast::<clap::Error>() {
                Ok(usage) => UsageError::from(usage).to_string(),
                Err(error) => error.to_string(),
            },
        }
    }

    const NEEDED: [&str; 4] = ["--model", "m", "--dataset", "d"];

    #[test]
    fn a_command_line_of_ms_swift_is_understood() {
        let words = "--model_type qwen2 --template qwen --torch_dtype float32 --tuner_type lora --max_steps 6 \
                     --per_device_train_batch_size 2 --gradient_accumulation_steps 4 --save_strategy no \
                     --gradient_checkpointing false --lora_dropout 0 --train_dataloader_shuffle false \
                     --loss_scale last_round --packing true --attn_impl sdpa --num_train_epochs 100 \
                     --model tiny --dataset a.jsonl b.jsonl#3 --lr_scheduler_type cosine_with_min_lr";
        let mut words: Vec<&str> = words.split_whitespace().collect();
        words.extend(["--lr_scheduler_kwargs", "{\"min_lr\": 1e-5}", "--columns", "{\"frage\": \"query\"}"]);
        words.extend(["--chat_template_kwargs", "{\"enable_thinking\": false}"]);
        let Run { arguments, notes, .. } = understood(&words).unwrap();
        assert_eq!(arguments.data.dataset, ["a.jsonl", "b.jsonl#3"]);
        assert_eq!(arguments.model.dtype, Some(Precision::Of(Dtype::Float32)));
        assert_eq!(arguments.data.loss_scale, Some("last_round".to_owned()));
        assert_eq!(arguments.training.lr_scheduler_kwargs, json!({ "min_lr": 1e-5 }).as_object().cloned());
        let variables = json!({ "enable_thinking": false });
        assert_eq!(arguments.data.chat_template_kwargs, variables.as_object().cloned());
        assert_eq!(arguments.data.columns, Some([("frage".to_owned(), "query".to_owned())].into()));
        assert!(arguments.data.packing && !arguments.data.train_dataloader_shuffle);
        assert_eq!(notes.len(), 2);
        assert!(notes[1].starts_with("`--attn-impl` has no effect"));
    }

    #[test]
    fn parameters_of_plugins_are_flags() {
        let words =
            [&NEEDED[..], &["--plugin", "dpo", "--beta", "0.2", "--plugin-arg", "label_smoothing=0.1"]]
                .concat();
        let run = understood(&words).unwrap();
        assert_eq!(json!(run.values), json!({ "dpo": { "beta": 0.2, "label_smoothing": 0.1 } }));
        let words = [&NEEDED[..], &["--plugin", "dpo", "--plugin-arg", "dpo.beta=0.3"]].concat();
        assert_eq!(json!(understood(&words).unwrap().values), json!({ "dpo": { "beta": 0.3 } }));
    }

    #[test]
    fn flags_win_over_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        let recipe = "plugin = 'dpo'\nbeta = 0.2\nmodel = 'm'\ndataset = ['a', 'b']\nlora_rank = 4\n\
                      plugin_arg.dpo.label_smoothing = 0.1";
        std::fs::write(&path, recipe).unwrap();
        let run = understood(&[path.to_str().unwrap(), "--dataset", "c", "--beta=0.5"]).unwrap();
        assert_eq!(run.arguments.data.dataset, ["c"]);
        assert_eq!(run.arguments.adapter.lora_rank, 4);
        assert_eq!(json!(run.values), json!({ "dpo": { "beta": 0.5, "label_smoothing": 0.1 } }));
        assert_eq!(run.said["dataset"].to_string(), "[\"c\"]");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let refused = |words: &[&str]| refused(&[&NEEDED[..], words].concat());
        assert_eq!(refused(&["--lora-rnk", "3"]), "There is no flag `--lora-rnk`");
        assert_eq!(refused(&["--beta", "3"]), "There is no flag `--beta`");
        assert_eq!(refused(&["--plugin", "dpo,sft"]), "Both `dpo` and `sft` are of the kind `loss`");
        assert_eq!(refused(&["--plugin", "dpo,dpo"]), "Two plugins are called `dpo`");
        assert_eq!(refused(&["--plugin-arg", "beta"]), "`--plugin-arg beta` has no `=`");
        assert_eq!(refused(&["--plugin-arg", "dpo.beta=1"]), "No plugin `dpo` takes part in this run");
        let twice = ["--plugin", "dpo", "--beta", "1", "--plugin-arg", "beta=2"];
        assert_eq!(refused(&twice), "`--beta` and `--plugin-arg` both set `beta`");
        assert!(refused(&["--plugin", "dpo", "--plugin-arg", "bta=1"]).contains("no parameter `bta`"));
    }

    #[test]
    fn an_adapter_that_is_there_says_what_it_is() {
        let words = [&NEEDED[..], &["--adapters", "a", "--lora-rank", "4"]].concat();
        let notes = understood(&words).unwrap().notes;
        assert_eq!(notes, ["`--lora-rank` has no effect: the folder in `--adapters` says it"]);
    }
}
