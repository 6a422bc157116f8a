//! Which plugins take part in a run, and with which hyper-parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};
use serde_json::{Map, Value};
use swift_fetch::{Fetched, Fetcher, Reference};
use swift_runtime::{Engine, EngineOptions, Kind, Origin, ParameterInfo, ParameterType, Plugin, Registry};

use crate::arguments::{SHARED, spellings};
use crate::report::UsageError;

/// The loss of a run that names none.
const DEFAULT_LOSS: &str = "sft";

/// Kinds of which a run has one.
const SINGLE: [Kind; 4] = [Kind::Loss, Kind::Schedule, Kind::Optimizer, Kind::LossScale];

/// Kinds that are the same in every run: arguments do not reach them.
const NOT_CONFIGURED: [Kind; 3] = [Kind::Dataset, Kind::Model, Kind::Template];

/// Given hyper-parameters by plugin name.
pub(crate) type Values = BTreeMap<String, Map<String, Value>>;

/// All plugins that can be had.
pub(crate) struct Plugins {
    registry: Registry,
    fetcher: Fetcher,
}

impl Plugins {
    /// The standard plugins, files by their paths, and what references name. Downloads are kept in a folder.
    pub(crate) fn standard(options: EngineOptions, downloads: Option<PathBuf>) -> anyhow::Result<Self> {
        let engine = Engine::new(options)?;
        let fetcher = Fetcher::new(downloads, swift_fetch::Limits::default());
        Ok(Self { registry: Registry::new(engine, swift_standard_plugins::STANDARD), fetcher })
    }

    /// The standard plugins.
    pub(crate) fn all(&self) -> anyhow::Result<Vec<Plugin>> {
        self.registry.names().map(|name| Ok(self.registry.resolve(name)?)).collect()
    }

    /// The standard plugins of some kinds.
    pub(crate) fn of_kinds(&self, kinds: &[Kind]) -> anyhow::Result<Vec<Plugin>> {
        let names = kinds.iter().flat_map(|kind| self.registry.names_of(*kind));
        names.collect::<BTreeSet<_>>().into_iter().map(|name| self.resolve(name)).collect()
    }

    pub(crate) fn resolve(&self, plugin: &str) -> anyhow::Result<Plugin> {
        if !Reference::is_meant(plugin) {
            return Ok(self.registry.resolve(plugin)?);
        }
        let Fetched { bytes, source, .. } = self.fetcher.fetch(&plugin.parse()?)?;
        Ok(self.registry.load(&bytes, plugin, Origin::Remote(source.to_string()))?)
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// The plugins of a run that names these.
    pub(crate) fn select(&self, names: &[String]) -> anyhow::Result<Selection> {
        let mut chosen = names.iter().map(|name| self.resolve(name)).collect::<anyhow::Result<Vec<_>>>()?;
        if !chosen.iter().any(|plugin| plugin.kinds().contains(&Kind::Loss)) {
            chosen.insert(0, self.resolve(DEFAULT_LOSS)?);
        }
        Selection::new(chosen)
    }

    /// These plugins and no others.
    pub(crate) fn only(&self, names: &[String]) -> anyhow::Result<Selection> {
        Selection::new(names.iter().map(|name| self.resolve(name)).collect::<anyhow::Result<_>>()?)
    }
}

/// The plugins that a run names: one loss, and any number of others.
#[derive(Default)]
pub(crate) struct Selection {
    chosen: Vec<Plugin>,
}

impl Selection {
    fn new(chosen: Vec<Plugin>) -> anyhow::Result<Self> {
        let selection = Self { chosen };
        let mut names: Vec<&str> = selection.chosen.iter().map(Plugin::name).collect();
        names.sort_unstable();
        if let Some(name) =
            names.windows(2).find_map(|pair| (pair.first() == pair.last()).then(|| pair.first()).flatten())
        {
            return Err(UsageError::new(format!("Two plugins are called `{name}`"))
                .hint("name it once")
                .into());
        }
        for kind in SINGLE {
            let names: Vec<&str> = selection.of_kind(kind).map(Plugin::name).collect();
            if let [first, second, ..] = names.as_slice() {
                let usage = UsageError::new(format!(
                    "Both `{first}` and `{second}` are of the kind `{}`",
                    kind.name()
                ));
                return Err(usage.hint("a run has one; name one of them with `--plugin`").into());
            }
        }
        Ok(selection)
    }

    /// All chosen plugins.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = &Plugin> {
        self.chosen.iter()
    }

    /// Whether a plugin of this name was chosen.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.chosen.iter().any(|plugin| plugin.name() == name)
    }

    /// The chosen plugins that come from elsewhere by a name that may mean another one tomorrow.
    pub(crate) fn moving(&self, names: &[String]) -> impl Iterator<Item = &Origin> {
        let pinned = |origin: &str| {
            let mut references = names.iter().filter_map(|name| name.parse::<Reference>().ok());
            references.any(|reference| reference.to_string() == origin)
        };
        let origins = self.chosen.iter().map(Plugin::origin);
        origins.filter(move |origin| matches!(origin, Origin::Remote(reference) if !pinned(reference)))
    }

    /// The chosen plugins that are of a kind.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Plugin> + Clone {
        self.chosen.iter().filter(move |plugin| plugin.kinds().contains(&kind))
    }

    /// The plugins of a kind that may be asked: the chosen ones, then the standard ones that have not been chosen.
    pub(crate) fn candidates<'a>(
        &'a self,
        kind: Kind,
        standard: &'a [Plugin],
    ) -> impl Iterator<Item = &'a Plugin> + Clone {
        let is_other = move |plugin: &&Plugin| plugin.kinds().contains(&kind) && !self.has(plugin.name());
        self.of_kind(kind).chain(standard.iter().filter(is_other))
    }

    /// The plugins that have a parameter.
    fn owners(&self, key: &str) -> Vec<(&Plugin, &ParameterInfo)> {
        let parameters = self.chosen.iter().filter_map(|plugin| Some((plugin, parameter(plugin, key)?)));
        parameters.collect()
    }

    /// Names of the plugins that have a parameter which would be this flag.
    pub(crate) fn owners_of_flag(&self, flag: &str) -> Vec<&str> {
        self.owners(&flag.replace('-', "_")).into_iter().map(|(plugin, _)| plugin.name()).collect()
    }

    /// A flag for each parameter that a single plugin has and that is no flag of `run` itself.
    pub(crate) fn flags(&self, run: &clap::Command) -> Vec<Arg> {
        let taken =
            |flag: &str| flag == "help" || run.get_arguments().flat_map(spellings).any(|known| known == flag);
        let parameters = self.chosen.iter().filter(|plugin| is_configured(plugin)).flat_map(|plugin| {
            plugin
                .info()
                .parameters
                .iter()
                .map(move |parameter| (plugin, parameter, parameter.name.replace('_', "-")))
        });
        parameters
            .filter(|(_, parameter, flag)| !taken(flag) && self.owners(&parameter.name).len() == 1)
            .map(|(plugin, parameter, flag)| {
                let flag = Arg::new(identifier(&parameter.name))
                    .long(flag)
                    .help(help(parameter))
                    .help_heading(format!("Parameters of {}", plugin.name()))
                    .value_name(placeholder(parameter.r#type))
                    .allow_negative_numbers(true);
                match parameter.r#type {
                    ParameterType::Boolean => flag.num_args(0..=1).default_missing_value("true"),
                    _ => flag,
                }
            })
            .collect()
    }

    /// The hyper-parameters that were given as `[NAME.]KEY=VALUE` or, where there are any, as flags of their own, checked.
    pub(crate) fn values(
        &self,
        arguments: &[String],
        matches: Option<&ArgMatches>,
    ) -> anyhow::Result<Values> {
        let mut values = Values::new();
        for argument in arguments {
            let (plugin, key, text) = self.resolve_argument(argument)?;
            let value = value_of(plugin, &key, text);
            values.entry(plugin.name().to_owned()).or_default().insert(key, value);
        }
        for plugin in &self.chosen {
            let flags = matches.iter().flat_map(|matches| {
                plugin.info().parameters.iter().map(move |parameter| (*matches, parameter))
            });
            for (matches, parameter) in flags {
                let id = identifier(&parameter.name);
                let given = matches.ids().any(|known| *known == id)
                    && matches.value_source(&id) == Some(ValueSource::CommandLine);
                let own = given.then(|| matches.get_one::<String>(&id).cloned()).flatten();
                let Some(text) = own.or_else(|| shared(&parameter.name, matches)) else { continue };
                if self.owners(&parameter.name).len() != 1 {
                    continue;
                }
                let values = values.entry(plugin.name().to_owned()).or_default();
                if values.insert(parameter.name.clone(), value(parameter.r#type, &text)).is_some() {
                    let flag = parameter.name.replace('_', "-");
                    let usage = UsageError::new(format!(
                        "`--{flag}` and `--plugin-arg` both set `{}`",
                        parameter.name
                    ));
                    return Err(usage.hint("say it once").into());
                }
            }
            if let Some(values) = values.get(plugin.name()) {
                if !is_configured(plugin) {
                    let usage = UsageError::new(format!("`{}` takes no arguments", plugin.name()));
                    return Err(usage
                        .hint("dataset adapters, models and templates are the same in every run")
                        .into());
                }
                plugin.check_arguments(values).map_err(|error| usage(plugin, &error))?;
            }
        }
        Ok(values)
    }

    /// The plugin, the key and the value that `[NAME.]KEY=VALUE` speaks of.
    fn resolve_argument<'a>(&self, argument: &'a str) -> Result<(&Plugin, String, &'a str), UsageError> {
        let (key, text) = split(argument, "`--plugin-arg KEY=VALUE` or `--plugin-arg NAME.KEY=VALUE`")?;
        let (name, key) = key.rsplit_once('.').map_or((None, key), |(name, key)| (Some(name), key));
        let key = key.replace('-', "_");
        if let Some(name) = name {
            let plugin = self.chosen.iter().find(|plugin| plugin.name() == name).ok_or_else(|| {
                let names: Vec<String> =
                    self.chosen.iter().map(|plugin| format!("`{}`", plugin.name())).collect();
                UsageError::new(format!("No plugin `{name}` takes part in this run"))
                    .hint(format!("it has {}", names.join(", ")))
            })?;
            return Ok((plugin, key, text));
        }
        match self.owners(&key).as_slice() {
            [(plugin, _)] => Ok((plugin, key, text)),
            [(first, _), ..] => Err(UsageError::new(format!("Several plugins have a parameter `{key}`"))
                .hint(format!("say which one is meant: `--plugin-arg {}.{key}={text}`", first.name()))),
            // The loss, or the first of other plugins, is asked to refuse it: it knows what it has instead.
            [] => self
                .of_kind(Kind::Loss)
                .chain(self.plugins())
                .next()
                .map(|plugin| (plugin, key, text))
                .ok_or_else(|| UsageError::new("No plugin takes part that has parameters")),
        }
    }
}

/// The hyper-parameters of a single plugin that were given as `KEY=VALUE`, checked.
pub(crate) fn values_of(plugin: &Plugin, arguments: &[String]) -> Result<Map<String, Value>, UsageError> {
    let mut values = Map::new();
    for argument in arguments {
        let (key, text) = split(argument, "`--plugin-arg KEY=VALUE`")?;
        let key = key.replace('-', "_");
        let value = value_of(plugin, &key, text);
        values.insert(key, value);
    }
    plugin.check_arguments(&values).map_err(|error| usage(plugin, &error))?;
    Ok(values)
}

/// Key and value of an argument, which should have the form `form`.
fn split<'a>(argument: &'a str, form: &str) -> Result<(&'a str, &'a str), UsageError> {
    argument.split_once('=').ok_or_else(|| {
        UsageError::new(format!("`--plugin-arg {argument}` has no `=`")).hint(format!("write {form}"))
    })
}

/// What a flag of the run itself says that has the name of a plugin's parameter.
fn shared(name: &str, matches: &ArgMatches) -> Option<String> {
    if !SHARED.contains(&name) || matches.value_source(name) != Some(ValueSource::CommandLine) {
        return None;
    }
    Some(matches.get_raw(name)?.next()?.to_string_lossy().into_owned())
}

/// Whether arguments reach the plugin.
fn is_configured(plugin: &Plugin) -> bool {
    plugin.kinds().iter().any(|kind| !NOT_CONFIGURED.contains(kind))
}

/// A mistake in a hyper-parameter is one in the command line.
fn usage(plugin: &Plugin, error: &swift_runtime::Error) -> UsageError {
    let name = match plugin.origin() {
        Origin::Standard => plugin.name().to_owned(),
        elsewhere => elsewhere.to_string(),
    };
    let inspect = || format!("`swift-host plugin inspect {name}` shows its parameters");
    UsageError::new(error.to_string()).hint(error.hint().unwrap_or_else(inspect))
}

fn parameter<'a>(plugin: &'a Plugin, key: &str) -> Option<&'a ParameterInfo> {
    plugin.info().parameters.iter().find(|parameter| parameter.name == key)
}

/// The value that a word stands for, by the parameter's type.
fn value_of(plugin: &Plugin, key: &str, text: &str) -> Value {
    match parameter(plugin, key) {
        Some(parameter) => value(parameter.r#type, text),
        None => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

/// A name for clap that no field of the arguments can have.
fn identifier(parameter: &str) -> String {
    format!("parameter {parameter}")
}

/// Whether clap's name for an argument is that of a plugin's parameter.
pub(crate) fn is_parameter(identifier: &str) -> bool {
    identifier.starts_with("parameter ")
}

/// The parameter's sentence and its default.
fn help(parameter: &ParameterInfo) -> String {
    let summary = parameter.summary.trim_end_matches('.');
    match &parameter.default {
        Value::Null => summary.to_owned(),
        default => format!("{summary} [default: {}]", said(default)),
    }
}

/// A value as one would say it on the command line.
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(said).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// What stands for a value in help texts.
pub(crate) fn placeholder(kind: ParameterType) -> &'static str {
    match kind {
        ParameterType::Boolean => "BOOL",
        ParameterType::Integer => "N",
        ParameterType::Number => "X",
        ParameterType::Text => "TEXT",
        ParameterType::List => "A,B,…",
    }
}

/// The value that a word stands for: JSON if it is that and fits, else text; a list also as `a,b`.
fn value(kind: ParameterType, text: &str) -> Value {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    match kind {
        ParameterType::Text => {
            parsed.filter(|value| value.is_string() || value.is_null()).unwrap_or_else(|| text.into())
        }
        ParameterType::List => match parsed {
            Some(value @ (Value::Array(_) | Value::Null)) => value,
            _ => {
                let items = text
                    .split(',')
                    .map(|item| serde_json::from_str(item).unwrap_or_else(|_| Value::from(item)));
                Value::Array(items.collect())
            }
        },
        _ => parsed.unwrap_or_else(|| text.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_if_it_can_be() {
        assert_eq!(value(ParameterType::Number, "0.2"), json!(0.2));
        assert_eq!(value(ParameterType::Number, "null"), json!(null));
        assert_eq!(value(ParameterType::Boolean, "true"), json!(true));
        assert_eq!(value(ParameterType::Number, "much"), json!("much"));
    }

    #[test]
    fn a_text_stays_a_text() {
        assert_eq!(value(ParameterType::Text, "1"), json!("1"));
        assert_eq!(value(ParameterType::Text, "\"1\""), json!("1"));
        assert_eq!(value(ParameterType::Text, "sigmoid"), json!("sigmoid"));
    }

    #[test]
    fn a_list_may_be_written_with_commas() {
        assert_eq!(value(ParameterType::List, "[1, 2]"), json!([1, 2]));
        assert_eq!(value(ParameterType::List, "a,2"), json!(["a", 2]));
    }
}
