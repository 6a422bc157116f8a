//! `cargo xtask peft`: adapters that the executable trains and serves, against PEFT. It is no part of `cargo xtask test`, for
//! what it installs (torch, transformers and PEFT) is several gigabytes.

use std::process::Command;

use anyhow::Result;

use crate::{build, sdk, workspace};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    sdk::without_arguments("peft", arguments)?;
    let tests = workspace::root().join("tests/peft");
    let environment = workspace::target().join("peft/environment");
    let python = environment.join("bin/python");
    let module = |name: &str| {
        let mut command = Command::new(&python);
        command.args(["-m", name]);
        command
    };
    if !python.exists() {
        sdk::call(Command::new("python3").args(["-m", "venv"]).arg(&environment), &tests)?;
    }
    sdk::call(module("pip").args(["install", "--quiet", "--requirement", "requirements.txt"]), &tests)?;
    build::swift_host()?;
    sdk::call(&mut module("pytest"), &tests)
}
