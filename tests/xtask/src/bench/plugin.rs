//! `cargo xtask bench plugin`: what the plugin boundary costs.

use std::process::Command;

use anyhow::Result;

use super::{folder, large_model};
use crate::synthetic::{Shape, write_model};
use crate::{build, c, javascript, plugins, python, sdk, workspace};

pub(super) fn run() -> Result<()> {
    plugins::run(&[])?;
    let folder = folder()?;
    let (wiring, small) = (folder.join("wiring only"), folder.join("small shape"));
    write_model(&wiring, &Shape::WIRING, 1)?;
    write_model(&small, &Shape::DEMO, 1)?;
    let models = [wiring, small, large_model()?].map(|model| model.display().to_string());
    measure(models.each_ref().map(String::as_str).as_slice())
}

/// The worked example in every language that there is an SDK for.
pub(super) fn languages() -> Result<()> {
    plugins::run(&[])?;
    let folders = [
        ("Rust", workspace::target().join("plugins")),
        ("C", c::components()?),
        ("JavaScript", javascript::example()?),
        ("Python", python::example()?),
    ];
    let components =
        folders.map(|(language, folder)| format!("{language}={}", folder.join("focal.wasm").display()));
    measure(components.each_ref().map(String::as_str).as_slice())
}

fn measure(arguments: &[&str]) -> Result<()> {
    build::cargo(&["build", "--locked", "--workspace", "--bin", "bench-plugin"])?;
    let mut command = Command::new(workspace::target().join("debug/bench-plugin"));
    sdk::call(command.args(arguments), &workspace::root())
}
