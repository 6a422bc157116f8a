//! `swift-host plugin check`: a plugin on seeded data.

use std::path::PathBuf;

use clap::Args;
use swift_check::{Golden, Options, Outcome, check};
use swift_runtime::{Limits, Origin, Plugin};

use crate::plugins::{Plugins, values_of};
use crate::report::UsageError;

/// The arguments of `swift-host plugin check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArguments {
    /// Name of a standard plugin, or path of a component
    plugin: String,
    /// A hyper-parameter. VALUE is JSON, or else text
    #[arg(long, value_name = "KEY=VALUE")]
    plugin_arg: Vec<String>,
    /// Numbers of an earlier check, to be met again [default: NAME.golden.json beside NAME.wasm, if it is there]
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Write the numbers of this check into the golden file instead of comparing them
    #[arg(long)]
    write_golden: bool,
    /// The config.json of a small model, to put a model definition to work with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// Prints what was found, and says whether nothing is wrong.
pub(crate) fn run(arguments: &CheckArguments, plugins: &Plugins) -> anyhow::Result<bool> {
    let plugin = plugins.resolve(&arguments.plugin)?;
    let values = values_of(&plugin, &arguments.plugin_arg)?;
    let golden = golden_file(arguments, &plugin)?;
    let options = Options {
        arguments: values,
        limits: Limits::default(),
        golden: golden
            .as_ref()
            .filter(|path| !arguments.write_golden && (arguments.golden.is_some() || path.is_file()))
            .map(|path| Golden::read(path))
            .transpose()?,
        config: arguments.config.as_deref().map(read).transpose()?,
    };
    let report = check(&plugin, &options);
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{report}"),
    }
    let good = report.count(Outcome::Failed) == 0;
    if let Some(path) = golden.filter(|_| arguments.write_golden) {
        match (good, report.measured.is_empty()) {
            (false, _) => eprintln!("note: no golden file was written, for something is wrong"),
            (_, true) => eprintln!("note: no golden file was written, for there are no numbers to keep"),
            _ => report.measured.write(&path)?,
        }
    }
    Ok(good)
}

/// Where the golden file is, or shall be.
fn golden_file(arguments: &CheckArguments, plugin: &Plugin) -> Result<Option<PathBuf>, UsageError> {
    match (&arguments.golden, plugin.origin()) {
        (Some(path), _) => Ok(Some(path.clone())),
        (None, Origin::File(path)) => Ok(Some(Golden::beside(path))),
        (None, _) if arguments.write_golden => {
            Err(UsageError::new(format!("The standard plugin `{}` has no place beside it", plugin.name()))
                .hint("name a file with `--golden FILE`"))
        }
        (None, _) => Ok(None),
    }
}

fn read(path: &std::path::Path) -> Result<String, UsageError> {
    std::fs::read_to_string(path)
        .map_err(|error| UsageError::new(format!("Failed to read `{}`", path.display())).caused_by(error))
}
