//! `cargo xtask javascript`: checks the JavaScript SDK and what the host makes of plugins written with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use swift_author::Language;

use crate::{sdk, workspace};

/// Components that the tests of the host need, and where their sources are in `sdk/javascript`.
const PLUGINS: [(&str, &str); 13] = [
    ("focal", "examples/focal.js"),
    ("halting", "tests/plugins/halting.js"),
    ("mistakes", "tests/plugins/mistakes.ts"),
    ("mean", "tests/plugins/mean.js"),
    ("questions", "tests/plugins/questions.js"),
    ("solved", "tests/plugins/solved.js"),
    ("halves", "tests/plugins/halves.js"),
    ("falling", "tests/plugins/falling.js"),
    ("momentum", "tests/plugins/momentum.js"),
    ("plain", "tests/plugins/plain.ts"),
    ("tiny", "tests/plugins/tiny.js"),
    ("counting", "tests/plugins/counting.js"),
    ("lines", "tests/plugins/lines.js"),
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    sdk::without_arguments("javascript", arguments)?;
    prepare()?;
    npm(&["test"], &source())?;
    let plugins = components(&PLUGINS)?;
    sdk::test(&plugins, "javascript")?;
    sdk::projects(Language::JavaScript, |_, project, swift_host| test(project, swift_host))?;
    // Once their types are checked and gone they are the same as those in JavaScript.
    sdk::projects(Language::TypeScript, |kind, project, swift_host| {
        if kind == "loss" { test(project, swift_host) } else { check_types(project) }
    })
}

/// Has a project test itself.
fn test(project: &Path, swift_host: &Path) -> Result<()> {
    install(project)?;
    let mut test = Command::new("npm");
    sdk::call(test.arg("test").env("SWIFT_HOST", swift_host), project)
}

fn check_types(project: &Path) -> Result<()> {
    let tsc = install(project)?.join(".bin/tsc");
    sdk::call(&mut Command::new(tsc), project)
}

/// Installs what a project needs, once for all that lie beside each other, and says where.
fn install(project: &Path) -> Result<PathBuf> {
    let shared = project.with_file_name("node_modules");
    if !shared.exists() {
        npm(&["install", "--no-audit", "--no-fund", "--prefer-offline"], project)?;
        fs::rename(project.join("node_modules"), &shared)?;
    }
    Ok(shared)
}

/// Makes the component of the worked example, and gives its folder.
pub(crate) fn example() -> Result<PathBuf> {
    prepare()?;
    components(&PLUGINS[..1])
}

fn source() -> PathBuf {
    workspace::root().join("sdk/javascript")
}

fn npm(arguments: &[&str], folder: &Path) -> Result<()> {
    sdk::call(Command::new("npm").args(arguments), folder)
}

/// Installs what the SDK needs.
fn prepare() -> Result<()> {
    sdk::install(&["node", "npm"], &["nodejs", "npm"])?;
    let (manifest, installed) =
        (source().join("package.json"), source().join("node_modules/.package-lock.json"));
    if sdk::is_newer(&installed, [&manifest].into_iter())? {
        return Ok(());
    }
    npm(&["install", "--no-audit", "--no-fund"], &source())
}

/// Makes components of those plugins that have changed, or whose SDK has, and gives their folder.
fn components(plugins: &[(&str, &str)]) -> Result<PathBuf> {
    let (source, folder) = (source(), workspace::target().join("javascript/plugins"));
    let common = [source.join("src"), source.join("package.json"), workspace::root().join("wit")];
    for (name, file) in plugins {
        let component = folder.join(name).with_extension("wasm");
        if sdk::is_newer(&component, common.iter().chain([&source.join(file)]))? {
            continue;
        }
        let mut build = Command::new("node");
        sdk::call(build.args(["src/build.js", file, "-o"]).arg(component), &source)?;
    }
    Ok(folder)
}
