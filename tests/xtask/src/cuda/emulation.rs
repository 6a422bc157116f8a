//! `cargo xtask emulation`: the bodies for CUDA devices on the CPU.

use anyhow::Result;

use crate::{build, sdk};

/// Runs the tests of operations and of models with kernels that are emulated. They need no CUDA, but a compiler for C++.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    sdk::without_arguments("emulation", arguments)?;
    sdk::install(&["c++", "ar"], &["g++", "binutils"])?;
    build::cargo(&[
        "test",
        "--locked",
        "--workspace",
        "--features",
        "swift-tensor/emulation",
        "--test",
        "conformance",
        "--test",
        "golden_models",
    ])
}
