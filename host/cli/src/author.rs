//! `swift-host plugin new` and `swift-host plugin build`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use swift_author::{Language, Project};

/// A project to be made.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// Name of the plugin: lower-case letters, digits and `-`
    name: String,
    /// What it is written in
    #[arg(long, value_name = "NAME", default_value = "rust", value_parser = PossibleValuesParser::new(Language::ALL.map(Language::name)))]
    lang: String,
    /// What it is: `loss`, `model`, `callback`, `dataset`, `metric`, `schedule`, `optimizer`, `reward`, `template`,
    /// `loss-scale`, `sampler` or `tool-parser`; in C `loss`, `metric`, `schedule` or `reward`
    #[arg(long, value_name = "KIND", default_value = "loss")]
    kind: String,
    /// The folder to make [default: the name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

/// A project to be built.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// Folder of the project, or its Python file
    #[arg(default_value = ".")]
    project: PathBuf,
    /// The component to write [default: NAME.wasm in the project]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Makes a project, and prints its files.
pub(crate) fn create(arguments: &NewArguments) -> anyhow::Result<()> {
    let NewArguments { name, lang, kind, path } = arguments;
    let language = Language::from_name(lang).unwrap_or(Language::Rust);
    let folder = path.clone().unwrap_or_else(|| name.into());
    let project = Project { language, kind, name, folder: &folder };
    for file in swift_author::create(&project)? {
        println!("{}", file.display());
    }
    Ok(())
}

/// Builds a project, and prints where the component is.
pub(crate) fn build(arguments: &BuildArguments) -> anyhow::Result<()> {
    let component = swift_author::build(&arguments.project, arguments.output.as_deref())?;
    println!("{}", component.display());
    Ok(())
}
