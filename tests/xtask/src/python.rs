//! `cargo xtask python`: checks the Python SDK, what the host makes of plugins written with it, and the server by the
//! official client of OpenAI.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{build, sdk, workspace};

/// Components that the tests of the host need, and where their sources are in `sdk/python`.
const PLUGINS: [(&str, &str); 2] =
    [("everything", "tests/plugins/everything.py"), ("focal", "examples/focal.py")];

/// What an author installs: with it, the guide to a first loss is followed without a network.
const AUTHORS: [&str; 2] = [".[build,testing]", "setuptools>=77"];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    sdk::without_arguments("python", arguments)?;
    prepare()?;
    let (source, python) = (source(), python());
    sdk::call(&mut module("pytest"), &source)?;
    sdk::call(&mut module("mypy"), &source)?;
    sdk::call(module("pyright").arg("--pythonpath").arg(&python), &source)?;
    let serve = workspace::root().join("tests/serve");
    sdk::call(module("pip").args(["install", "--quiet", "--requirement", "requirements.txt"]), &serve)?;
    build::swift_host()?;
    sdk::call(&mut module("pytest"), &serve)?;
    sdk::test(&components(&PLUGINS)?, "python")?;
    let wheels = folder().join("wheels");
    sdk::call(module("pip").args(["download", "--quiet", "--dest"]).arg(&wheels).args(AUTHORS), &source)?;
    let mut guide = build::cargo_command(&["test", "--locked", "--workspace", "--test", "python_guide"]);
    guide.args(["--", "--nocapture"]).env("SWIFT_PYTHON_WHEELS", &wheels);
    sdk::call(&mut guide, &workspace::root())
}

/// Makes the component of the worked example, and gives its folder.
pub(crate) fn example() -> Result<PathBuf> {
    prepare()?;
    components(&PLUGINS[1..])
}

fn source() -> PathBuf {
    workspace::root().join("sdk/python")
}

fn folder() -> PathBuf {
    workspace::target().join("python")
}

fn python() -> PathBuf {
    folder().join("environment/bin/python")
}

/// A command that runs a module of the environment.
fn module(name: &str) -> Command {
    let mut command = Command::new(python());
    command.args(["-m", name]);
    command
}

/// Makes the environment, with what the SDK needs.
fn prepare() -> Result<()> {
    if !python().exists() {
        let mut create = Command::new("python3");
        sdk::call(create.args(["-m", "venv"]).arg(folder().join("environment")), &workspace::root())?;
    }
    sdk::call(module("pip").args(["install", "--quiet", "--editable", ".[development]"]), &source())
}

/// Makes components, and gives their folder.
fn components(plugins: &[(&str, &str)]) -> Result<PathBuf> {
    let folder = folder().join("plugins");
    std::fs::create_dir_all(&folder)?;
    for (name, file) in plugins {
        let component = folder.join(name).with_extension("wasm");
        sdk::call(module("swift_plugin.build").arg(file).arg("-o").arg(component), &source())?;
    }
    Ok(folder)
}
