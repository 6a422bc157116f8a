//! `cargo xtask build --cuda` and `cargo xtask gpu`: the executable with CUDA, on a machine without it.

mod emulation;
mod pack;
mod toolkit;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, plugins, workspace};

pub(crate) use emulation::run as emulation;
pub(crate) use pack::run as pack;
use toolkit::Toolkit;

/// The oldest GPUs that kernels are compiled for: those with matrix units for `bf16` (Ampere). They are kept as PTX, which
/// the driver compiles for the GPU that is there, so that one executable serves all later ones.
const COMPUTE_CAPABILITY: &str = "80";

/// CUDA 13.0, in the way that cudarc writes it.
const CUDA_VERSION: &str = "13000";

/// `cargo xtask build [--cuda [--check]]`.
pub(crate) fn build(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            plugins::run(&[])?;
            eprintln!("built {}", build::swift_host()?.display());
        }
        ["--cuda"] => {
            plugins::run(&[])?;
            eprintln!("built {}", executable()?.display());
        }
        ["--cuda", "--check"] => {
            let toolkit = Toolkit::fetch()?;
            // Without debug information, as what is built; tests are looked at too.
            let arguments =
                ["check", "--release", "--locked", "-p", "swift-tensor", "--features", "cuda", "--tests"];
            let mut cargo = cargo(&toolkit, &arguments);
            let target = workspace::target().join("cuda/check");
            run(cargo.env("NVCC", toolkit.compiler_for_checks()?).env("CARGO_TARGET_DIR", target))?;
        }
        _ => {
            bail!("`cargo xtask build` takes `--cuda`, and with it `--check`, which compiles nothing to run")
        }
    }
    Ok(())
}

const FEATURE: &str = "swift-host/cuda";

/// Features of candle differ from the default build's, so that this one has a folder of its own.
fn target() -> PathBuf {
    workspace::target().join("cuda/build")
}

/// Builds the executable for machines with CUDA, and says where it is.
fn executable() -> Result<PathBuf> {
    let toolkit = Toolkit::fetch()?;
    run(&mut cargo(
        &toolkit,
        &["build", "--release", "--locked", "--workspace", "--bin", "swift-host", "--features", FEATURE],
    ))?;
    Ok(target().join("release/swift-host"))
}

/// Cargo with what the build scripts of cudarc and candle's kernels look for.
fn cargo(toolkit: &Toolkit, arguments: &[&str]) -> Command {
    let mut command = build::cargo_command(arguments);
    let home = toolkit.home();
    for name in ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"] {
        command.env(name, home);
    }
    let libraries = home.join("lib");
    let search = format!("-L {} -L {}", libraries.display(), libraries.join("stubs").display());
    command
        .env("NVCC", home.join("bin/nvcc"))
        .env("CUDA_COMPUTE_CAP", COMPUTE_CAPABILITY)
        .env("CUDARC_CUDA_VERSION", CUDA_VERSION)
        .env("LIBRARY_PATH", &libraries)
        .env("RUSTFLAGS", search)
        .env("CARGO_TARGET_DIR", target());
    command
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context("can't run cargo")?;
    if !status.success() {
        bail!("cargo failed");
    }
    Ok(())
}
