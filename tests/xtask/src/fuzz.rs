//! `cargo xtask fuzz`: random bytes for the loader of plugins, guided by what it does with them.

use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::build::cargo_command;
use crate::{plugins, workspace};

/// How long it looks, unless told otherwise.
const SECONDS: u64 = 60;

/// What gets cargo-fuzz where it is missing.
const INSTALL: &str = "cargo install cargo-fuzz --version 0.13.1 --locked";

/// Builds the target `load` and runs it for a while, starting from the plugins. What it learns is kept in
/// `target/fuzz/corpus`, and an input that ends in a panic in `tests/fuzz/artifacts`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let seconds = match arguments {
        [] => SECONDS,
        [flag, seconds] if flag == "--seconds" => {
            seconds.parse().with_context(|| format!("`--seconds {seconds}` is no number of seconds"))?
        }
        _ => bail!("`cargo xtask fuzz` takes `--seconds N`"),
    };
    let there = cargo_command(&["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        bail!("cargo-fuzz is not installed; run `{INSTALL}`");
    }
    plugins::run(&[])?;
    let target = workspace::target();
    let corpus = target.join("fuzz/corpus");
    std::fs::create_dir_all(&corpus)?;
    // Panics are what is looked for, and the address sanitizer would only make it slower: there is no unsafe code here.
    // Without it, the stable compiler will do.
    let status = cargo_command(&["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none"])
        .arg("--target-dir")
        .arg(target.join("fuzz"))
        .arg("load")
        .args([&corpus, &target.join("plugins")])
        .args(["--", "-timeout=60", "-rss_limit_mb=4096", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"))
        .status()
        .context("can't run cargo-fuzz")?;
    if !status.success() {
        bail!("the loader failed; the input is in `tests/fuzz/artifacts/load`");
    }
    Ok(())
}
