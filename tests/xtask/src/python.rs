//! `cargo xtask python`: checks the Python SDK and what the host makes of plugins written with it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, workspace};

/// Components that the tests of the host need, and where their sources are in `sdk/python`.
const PLUGINS: [(&str, &str); 2] =
    [("everything", "tests/plugins/everything.py"), ("focal", "examples/focal.py")];

/// Packages with tests of plugins in Python.
const PACKAGES: [&str; 2] = ["swift-runtime", "swift-tests"];

/// What an author installs: with it, the guide to a first loss is followed without a network.
const AUTHORS: [&str; 2] = [".[build,testing]", "setuptools>=77"];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(argument) = arguments.first() {
        bail!("`cargo xtask python` takes no arguments, and was given `{argument}`");
    }
    let sdk = workspace::root().join("sdk/python");
    let folder = workspace::target().join("python");
    let environment = folder.join("environment");
    let python = environment.join("bin/python");
    if !python.exists() {
        call(Command::new("python3").args(["-m", "venv"]).arg(&environment), &workspace::root())?;
    }
    let module = |name: &str| {
        let mut command = Command::new(&python);
        command.args(["-m", name]);
        command
    };
    call(module("pip").args(["install", "--quiet", "--editable", ".[development]"]), &sdk)?;
    call(&mut module("pytest"), &sdk)?;
    call(&mut module("mypy"), &sdk)?;
    call(module("pyright").arg("--pythonpath").arg(&python), &sdk)?;
    let plugins = folder.join("plugins");
    std::fs::create_dir_all(&plugins)?;
    for (name, source) in PLUGINS {
        let component = plugins.join(name).with_extension("wasm");
        call(module("swift_plugin.build").arg(source).arg("-o").arg(component), &sdk)?;
    }
    for package in PACKAGES {
        let mut tests = build::cargo_command(&["test", "--locked", "--package", package, "--test", "python"]);
        call(tests.env("SWIFT_PYTHON_PLUGINS", &plugins), &workspace::root())?;
    }
    let wheels = folder.join("wheels");
    call(module("pip").args(["download", "--quiet", "--dest"]).arg(&wheels).args(AUTHORS), &sdk)?;
    let mut guide =
        build::cargo_command(&["test", "--locked", "--package", "swift-tests", "--test", "python_guide"]);
    call(guide.args(["--", "--nocapture"]).env("SWIFT_PYTHON_WHEELS", &wheels), &workspace::root())
}

fn call(command: &mut Command, folder: &Path) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.current_dir(folder).status().with_context(|| format!("can't run {shown}"))?;
    if !status.success() {
        bail!("{shown} failed");
    }
    Ok(())
}
