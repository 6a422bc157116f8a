//! Recipes: TOML files that say what flags can say.
//!
//! A recipe becomes flags. It therefore means exactly what the same words on the command line would mean, is checked
//! by the same rules, and needs no description of its own.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use toml::{Table, Value};

use crate::grants::AS;
use crate::plugins::is_parameter;
use crate::report::UsageError;
use crate::usage::context;

/// The flag whose value may be a table: `plugin_arg.beta = 0.2`, `plugin_arg.dpo.beta = 0.2`.
const PLUGIN_ARGUMENT: &str = "plugin-arg";

/// A table `[grants.NAME]` stands for this flag.
const GRANT: &str = "grant";

/// Flags that add up: those of the recipe come first, and the command line's after them.
const ADDED_UP: [&str; 2] = [PLUGIN_ARGUMENT, GRANT];

/// A recipe that was read.
#[derive(Debug, Default)]
pub(crate) struct Recipe {
    path: PathBuf,
    /// Flag names with dashes, and their values as they would stand on the command line.
    flags: Vec<(String, Vec<String>)>,
}

impl Recipe {
    pub(crate) fn read(path: &Path) -> Result<Self, UsageError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            UsageError::new(format!("Failed to read the recipe `{}`", path.display()))
                .hint("a word after `run` that belongs to no flag is the path of a recipe")
                .caused_by(error)
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, UsageError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            UsageError::new(format!("`{}` is not a TOML file", path.display()))
                .hint("a recipe has lines such as `lora_rank = 16` and `dataset = [\"pairs.jsonl\"]`")
                .caused_by(error)
        })?;
        let flags = table.into_iter().map(|(key, value)| match (key.replace('_', "-"), value) {
            (flag, value) if flag == PLUGIN_ARGUMENT => (flag, plugin_arguments("", value)),
            (flag, Value::Table(plugins)) if flag == "grants" => (GRANT.to_owned(), grants(plugins)),
            (flag, value) => (flag, values(value)),
        });
        Ok(Self { path: path.to_owned(), flags: flags.collect() })
    }

    /// The values of a flag.
    pub(crate) fn get(&self, flag: &str) -> Option<&[String]> {
        self.flags.iter().find(|(name, _)| name == flag).map(|(_, values)| values.as_slice())
    }

    /// The flags that are not among `given`, as arguments. Arguments of plugins and grants add up, the later one of the
    /// same name wins.
    pub(crate) fn arguments(&self, given: &HashSet<&str>) -> Vec<OsString> {
        let flags = self
            .flags
            .iter()
            .filter(|(name, _)| ADDED_UP.contains(&name.as_str()) || !given.contains(name.as_str()));
        flags
            .flat_map(|(name, values)| values.iter().map(move |value| format!("--{name}={value}").into()))
            .collect()
    }

    /// Checks the recipe by itself, so that a mistake in it is not taken for one on the command line. `run` is the command
    /// that takes the flags.
    pub(crate) fn check(&self, run: &clap::Command) -> Result<(), UsageError> {
        let arguments = std::iter::once(OsString::from("run")).chain(self.arguments(&HashSet::new()));
        let run = run.clone().mut_args(|argument| argument.required(false));
        let Err(error) = run.try_get_matches_from(arguments) else { return Ok(()) };
        let path = self.path.display();
        if error.kind() != ErrorKind::UnknownArgument {
            let usage = UsageError::from(error);
            return Err(usage.prefix(&format!("In `{path}`: ")));
        }
        let key = |kind| {
            Some(context(&error, kind)?.split(['=', ' ']).next()?.trim_start_matches('-').replace('-', "_"))
        };
        let unknown = key(ContextKind::InvalidArg).unwrap_or_default();
        let usage = UsageError::new(format!("Unknown key `{unknown}` in `{path}`"));
        Err(match crate::migrating::said_otherwise(&unknown.replace('_', "-")) {
            Some(instead) => usage.hint(instead),
            None => match key(ContextKind::SuggestedArg) {
                Some(nearest) => usage.hint(format!("did you mean `{nearest}`?")),
                None => usage.hint("the keys of a recipe are the flags of `swift-host run --help`"),
            },
        })
    }
}

/// A value as it would stand on the command line: lists as several, tables as JSON.
fn values(value: Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.into_iter().map(text).collect(),
        value => vec![text(value)],
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        value => json(value).to_string(),
    }
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Boolean(truth) => truth.into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(items) => items.into_iter().map(json).collect(),
        Value::Table(table) => table.into_iter().map(|(key, value)| (key, json(value))).collect(),
    }
}

/// `KEY=VALUE` for each entry of a table and of the tables in it; a list holds such words already.
fn plugin_arguments(prefix: &str, value: Value) -> Vec<String> {
    match value {
        Value::Table(table) => table
            .into_iter()
            .flat_map(|(key, value)| match value {
                Value::Table(_) => plugin_arguments(&format!("{prefix}{key}."), value),
                value => vec![format!("{prefix}{key}={}", json(value))],
            })
            .collect(),
        value => values(value),
    }
}

/// `NAME.KEY=VALUE` for each entry of the plugins' tables: lists as several, and a table of directories, in which their
/// names come first, as `DIRECTORY::NAME`.
fn grants(plugins: Table) -> Vec<String> {
    let of_key = |name: &str, key: &str, value: Value| -> Vec<String> {
        let values = match value {
            Value::Table(named) => {
                named.into_iter().map(|(guest, host)| format!("{}{AS}{guest}", text(host))).collect()
            }
            value => values(value),
        };
        values.into_iter().map(|value| format!("{name}.{key}={value}")).collect()
    };
    let of_plugin = |(name, value): (String, Value)| -> Vec<String> {
        match value {
            Value::Table(keys) => {
                keys.into_iter().flat_map(|(key, value)| of_key(&name, &key, value)).collect()
            }
            // What is no table is refused where the flag is read.
            value => values(value).into_iter().map(|value| format!("{name}={value}")).collect(),
        }
    };
    plugins.into_iter().flat_map(of_plugin).collect()
}

/// All that was said, by flags and recipe together, as a recipe that says it again.
pub(crate) fn merged(run: &clap::Command, matches: &clap::ArgMatches) -> Table {
    let said = run.get_arguments().filter(|argument| {
        argument.get_long().is_some()
            && matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
    });
    said.filter_map(|argument| {
        let key = argument.get_long()?.replace('-', "_");
        let textual = [ValueParser::string().type_id(), ValueParser::path_buf().type_id()];
        let textual = textual.contains(&argument.get_value_parser().type_id())
            && !is_parameter(argument.get_id().as_str());
        let mut values = matches.get_raw(argument.get_id().as_str())?.map(|value| {
            let text = value.to_string_lossy();
            if textual { Value::String(text.into_owned()) } else { typed(&text) }
        });
        let value = match argument.get_action() {
            clap::ArgAction::Append => Value::Array(values.collect()),
            _ => values.next()?,
        };
        Some((key, value))
    })
    .collect()
}

/// A truth or a number where the text is one, else the text.
fn typed(text: &str) -> Value {
    let truth = || text.parse().map(Value::Boolean);
    let integer = || text.parse().map(Value::Integer);
    let number = || text.parse().map(Value::Float);
    truth().or_else(|_| integer()).or_else(|_| number()).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::arguments::{CommandLine, finish};

    fn recipe(text: &str) -> Recipe {
        Recipe::parse(Path::new("recipe.toml"), text).unwrap()
    }

    fn run() -> clap::Command {
        finish(CommandLine::command().find_subcommand("run").unwrap().clone())
    }

    #[test]
    fn keys_become_flags() {
        let recipe = recipe("lora_rank = 16\nlearning-rate = 1e-4\npacking = true\ndataset = ['a', 'b']");
        let arguments = recipe.arguments(&HashSet::new());
        assert_eq!(
            arguments,
            ["--dataset=a", "--dataset=b", "--learning-rate=0.0001", "--lora-rank=16", "--packing=true"]
        );
        recipe.check(&run()).unwrap();
    }

    #[test]
    fn given_flags_win() {
        let recipe = recipe("lora_rank = 16\nseed = 1");
        assert_eq!(recipe.arguments(&HashSet::from(["lora-rank"])), ["--seed=1"]);
    }

    #[test]
    fn plugin_arguments_may_be_tables() {
        let recipe = recipe("plugin_arg = { beta = 0.2, dpo.label_smoothing = 0.1, x.names = ['a'] }");
        let arguments = recipe.get("plugin-arg").unwrap();
        assert_eq!(arguments, ["beta=0.2", "dpo.label_smoothing=0.1", "x.names=[\"a\"]"]);
    }

    #[test]
    fn grants_are_tables() {
        let recipe = recipe(
            "[grants.x]\nread = ['a', 'b']\nwrite = { '/out' = './out' }\nenv = 'KEY'\nmemory = 64\n[grants]\ny = 1",
        );
        let expected = ["x.env=KEY", "x.memory=64", "x.read=a", "x.read=b", "x.write=./out::/out", "y=1"];
        let mut grants = recipe.get("grant").unwrap().to_vec();
        grants.sort();
        assert_eq!(grants, expected);
        recipe.check(&run()).unwrap();
        assert_eq!(recipe.arguments(&HashSet::from(["grant"])).len(), expected.len(), "flags add to them");
    }

    #[test]
    fn other_tables_become_json() {
        let recipe = recipe("[lr_scheduler_kwargs]\nmin_lr = 1e-5");
        assert_eq!(recipe.get("lr-scheduler-kwargs").unwrap(), ["{\"min_lr\":0.00001}"]);
        recipe.check(&run()).unwrap();
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest() {
        let error = recipe("lora_rnk = 16").check(&run()).unwrap_err();
        assert_eq!(
            format!("{error:?}"),
            "UsageError { message: \"Unknown key `lora_rnk` in `recipe.toml`\", hints: [\"did you mean `lora_rank`?\"], \
             source: None }"
        );
    }

    #[test]
    fn a_wrong_value_is_blamed_on_the_recipe() {
        let error = recipe("lora_rank = 'many'").check(&run()).unwrap_err();
        assert!(error.to_string().starts_with("In `recipe.toml`: `--lora-rank` can't be `many`"), "{error}");
    }

    #[test]
    fn what_was_said_can_be_said_again() {
        let arguments = [
            "run",
            "--model=m",
            "--dataset=a",
            "--dataset",
            "1",
            "--system",
            "1.50",
            "--seed=7",
            "--learning-rate=1e-4",
            "--packing",
        ];
        let run = run();
        let matches = run.clone().try_get_matches_from(arguments).unwrap();
        let merged = merged(&run, &matches);
        let expected = "dataset = [\"a\", \"1\"]\nlearning_rate = 0.0001\nmodel = \"m\"\npacking = true\nseed = 7\nsystem = \"1.50\"\n";
        assert_eq!(merged.to_string(), expected);
        recipe(&merged.to_string()).check(&run).unwrap();
    }
}
