//! `cargo xtask emulation`: the bodies for CUDA devices on the CPU.

use anyhow::Result;

use crate::{build, plugins, sdk};

const FEATURE: [&str; 3] = ["--workspace", "--features", "swift-tensor/emulation"];

/// Runs the tests of operations, of answers by recorded steps, and of two whole training runs with kernels that are emulated. They need no CUDA, but a
/// compiler for C++.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    sdk::without_arguments("emulation", arguments)?;
    sdk::install(&["c++", "ar"], &["g++", "binutils"])?;
    plugins::run(&[])?;
    let cargo = |before: &[&str], after: &[&str]| build::cargo(&[before, &FEATURE, after].concat());
    for test in ["conformance", "graphs"] {
        cargo(&["test", "--locked"], &["--test", test])?;
    }
    cargo(&["build", "--locked"], &["--bin", "swift-host"])?;
    let traces = cargo(
        &["test", "--locked"],
        &["--test", "end_to_end", "--", "--exact", "traces::sft", "traces::dpo_of_all_parameters"],
    );
    // The executable that other commands use is the one without emulation.
    build::swift_host()?;
    traces
}
