//! `swift-host plugin`: what plugins there are, what one is, and where it may be had.

use std::fmt::Write as _;
use std::process::ExitCode;

use swift_runtime::Plugin;

use crate::arguments::PluginCommand;
use crate::author;
use crate::check;
use crate::plugins::{Plugins, placeholder};
use crate::publish::publish;

/// Answers on stdout.
pub(crate) fn plugin(command: &PluginCommand, plugins: &Plugins) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::List => print!("{}", list(&plugins.all()?)),
        PluginCommand::Inspect { plugin } => print!("{}", inspect(&plugins.resolve(plugin)?)),
        PluginCommand::Publish { file, reference } => println!("{}", publish(plugins, file, reference)?),
        PluginCommand::Check(arguments) if !check::run(arguments, plugins)? => return Ok(ExitCode::FAILURE),
        PluginCommand::Check(_) => {}
        PluginCommand::New(arguments) => author::create(arguments)?,
        PluginCommand::Build(arguments) => author::build(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each plugin: name, kinds, summary.
fn list(plugins: &[Plugin]) -> String {
    let names = plugins.iter().map(|plugin| plugin.name().len()).max().unwrap_or_default();
    let kinds = plugins.iter().map(|plugin| kinds(plugin).len()).max().unwrap_or_default();
    plugins.iter().fold(String::new(), |mut text, plugin| {
        let summary = plugin.info().summary.trim_end_matches('.');
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:names$}  {:kinds$}  {summary}", plugin.name(), self::kinds(plugin));
        text
    })
}

fn kinds(plugin: &Plugin) -> String {
    plugin.kinds().iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

/// What it may want to be granted.
fn wants(plugin: &Plugin) -> String {
    match plugin.wants().as_slice() {
        [] => "nothing".to_owned(),
        wants => wants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn inspect(plugin: &Plugin) -> String {
    let info = plugin.info();
    let rows = [
        ("name", info.name.clone()),
        ("version", info.version.clone()),
        ("summary", info.summary.clone()),
        ("kinds", kinds(plugin)),
        ("origin", plugin.origin().to_string()),
        ("digest", plugin.digest().to_owned()),
        ("size", format!("{} bytes", plugin.size())),
        ("imports", plugin.imports().join(", ")),
        ("wants", wants(plugin)),
    ];
    let mut text = String::new();
    for (key, value) in rows {
        let _ = writeln!(text, "{key:8} {value}");
    }
    if !info.parameters.is_empty() {
        text.push_str("parameters\n");
    }
    for parameter in &info.parameters {
        let kind = placeholder(parameter.r#type);
        let summary = &parameter.summary;
        let _ = writeln!(text, "  {}={kind}  {summary} [default: {}]", parameter.name, parameter.default);
    }
    text
}
