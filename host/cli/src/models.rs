//! `swift-host models`: what is known of published models.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use swift_registry::{Filter, Model, Registry};
use swift_runtime::{Kind, Limits};

use crate::plugins::Plugins;
use crate::report::UsageError;

/// The arguments of `swift-host models`.
#[derive(Debug, Args)]
pub(crate) struct ModelsArguments {
    /// Words that the model's id, family, type or tags must have; all that is known is shown of a model named in full
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
    /// Only models of this family
    #[arg(long, value_name = "NAME")]
    family: Option<String>,
    /// Only models of this type, in ms-swift's words
    #[arg(long = "type", alias = "model-type", value_name = "NAME")]
    model_type: Option<String>,
    /// Only models whose `config.json` names this architecture
    #[arg(long, value_name = "NAME")]
    architecture: Option<String>,
    /// Only models that a standard plugin defines, with weights that are read here
    #[arg(long)]
    supported: bool,
    /// Print JSON: an array with an object for each model
    #[arg(long)]
    json: bool,
}

/// A model, and the standard plugin that defines it.
#[derive(Serialize)]
struct Known<'a> {
    #[serde(flatten)]
    model: &'a Model,
    plugin: Option<&'a str>,
}

impl Known<'_> {
    /// Whether it can be trained as it is published.
    fn is_supported(&self) -> bool {
        self.plugin.is_some() && self.model.quantization.is_none()
    }
}

/// Lists the models that are asked for, or shows the one that is named.
pub(crate) fn models(arguments: &ModelsArguments, plugins: &Plugins) -> anyhow::Result<ExitCode> {
    let registry = Registry::embedded()?;
    let named = match arguments.text.as_slice() {
        [id] => registry.find(id),
        _ => None,
    };
    let filter = Filter {
        text: arguments.text.clone(),
        family: arguments.family.clone(),
        model_type: arguments.model_type.clone(),
        architecture: arguments.architecture.clone(),
    };
    let found: Vec<&Model> = match named {
        Some(model) => vec![model],
        None => registry.filter(&filter).collect(),
    };
    let definitions = definitions(&found, plugins)?;
    let known = found.into_iter().map(|model| Known { model, plugin: plugin_of(model, &definitions) });
    let mut known: Vec<Known<'_>> = known.collect();
    known.retain(|known| !arguments.supported || known.is_supported());
    let text = match (known.as_slice(), named) {
        ([], _) => return Err(nothing(&registry).into()),
        _ if arguments.json => serde_json::to_string_pretty(&known)? + "\n",
        ([only], Some(_)) => all_of(only),
        _ => list(&known),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Who reads the beginning only, such as `head`, has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn nothing(registry: &Registry) -> UsageError {
    let families: Vec<&str> = registry.families().collect();
    UsageError::new("No model in the registry fits")
        .hint(format!("there are the families {}", families.join(", ")))
        .hint("a model that is not listed is trained all the same if a plugin knows the architecture in its `config.json`")
}

/// What a model plugin is asked by: an architecture, and `model_type` of `config.json`, empty if it is not known.
type Wiring<'a> = (&'a str, &'a str);

fn wirings(model: &Model) -> impl Iterator<Item = Wiring<'_>> {
    let config_type = model.config_type.as_deref().unwrap_or_default();
    model.architectures.iter().map(move |architecture| (architecture.as_str(), config_type))
}

/// The name of the standard plugin for each wiring that one defines.
fn definitions<'a>(
    models: &[&'a Model],
    plugins: &Plugins,
) -> anyhow::Result<BTreeMap<Wiring<'a>, Option<String>>> {
    let mut definitions: BTreeMap<Wiring<'a>, Option<String>> = BTreeMap::new();
    let all = models.iter().flat_map(|model| wirings(model));
    definitions.extend(all.map(|wiring| (wiring, None)));
    for plugin in plugins.of_kinds(&[Kind::Model])? {
        let mut model = plugin.model(&Limits::default())?;
        for ((architecture, config_type), definition) in &mut definitions {
            if definition.is_none() && model.supports(architecture, config_type)? {
                *definition = Some(plugin.name().to_owned());
            }
        }
    }
    Ok(definitions)
}

fn plugin_of<'a>(model: &'a Model, definitions: &'a BTreeMap<Wiring<'a>, Option<String>>) -> Option<&'a str> {
    wirings(model).find_map(|wiring| definitions.get(&wiring)?.as_deref())
}

/// A line for each model, below a line that says what the columns are.
fn list(models: &[Known<'_>]) -> String {
    let row = |known: &Known<'_>| {
        let Model { model_type, architectures, template, quantization, .. } = known.model;
        let architecture = architectures.first().map_or("", String::as_str);
        [known.model.id(), model_type, architecture, or_none(template.as_deref()), or_none(known.plugin)]
            .map(str::to_owned)
            .into_iter()
            .chain([or_none(quantization.as_deref()).to_owned()])
            .collect::<Vec<_>>()
    };
    let header = ["ID", "TYPE", "ARCHITECTURE", "TEMPLATE", "PLUGIN", "QUANTIZATION"];
    let rows = [header.map(str::to_owned).to_vec()].into_iter().chain(models.iter().map(row));
    aligned(&rows.collect::<Vec<_>>())
}

fn or_none(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

/// Rows with two spaces or more between their columns.
fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter().fold(String::new(), |mut text, row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}

/// All that is known of a model.
fn all_of(known: &Known<'_>) -> String {
    let Model {
        family,
        model_type,
        architectures,
        config_type,
        template,
        dtype,
        context_length,
        quantization,
        task,
        multimodal,
        tags,
        files,
        ignore,
        modelscope,
        hugging_face,
    } = known.model;
    let list = |items: &[String]| (!items.is_empty()).then(|| items.join(", "));
    let plugin = match known.plugin {
        Some(plugin) => plugin.to_owned(),
        None => "none; `swift-host plugin new NAME --kind model` begins one".to_owned(),
    };
    let quantization = quantization.as_ref().map(|name| format!("{name}, which is not read here"));
    let rows = [
        ("Hugging Face", hugging_face.clone()),
        ("ModelScope", modelscope.clone()),
        ("family", Some(family.clone())),
        ("type", Some(model_type.clone())),
        ("architecture", list(architectures)),
        ("config type", config_type.clone()),
        ("plugin", Some(plugin)),
        ("template", template.clone()),
        ("dtype", dtype.clone()),
        ("context", context_length.map(|length| format!("{length} tokens"))),
        ("quantization", quantization),
        ("task", task.clone()),
        ("multimodal", multimodal.then(|| "yes; texts alone are trained on here".to_owned())),
        ("tags", list(tags)),
        ("files", list(files)),
        ("ignored", list(ignore)),
    ];
    let known = rows.into_iter().filter_map(|(key, value)| Some((key, value?)));
    known.fold(String::new(), |mut text, (key, value)| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key:12}  {value}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["ID", "TYPE"], ["a-long-name", "x"], ["b", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "ID           TYPE\na-long-name  x\nb\n");
    }
}
