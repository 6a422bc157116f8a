use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// Results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

/// The executable that was built together with the tests.
///
/// # Errors
/// If it was not built.
pub fn executable() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/debug/deps/NAME → target/debug/swift-host
    let executable = test.ancestors().nth(2).context("the test has no build folder")?.join("swift-host");
    anyhow::ensure!(
        executable.is_file(),
        "`{}` is missing; `cargo build --workspace --bin swift-host` makes it",
        executable.display()
    );
    Ok(executable)
}

/// A plugin as a file, built by `cargo xtask plugins`.
///
/// # Errors
/// If it was not built.
pub fn plugin(name: &str) -> Result<PathBuf> {
    let executable = executable()?;
    let folder = executable.ancestors().nth(2).context("the executable has no build folder")?.join("plugins");
    let file = folder.join(name).with_extension("wasm");
    anyhow::ensure!(file.is_file(), "`{}` is missing; `cargo xtask plugins` makes it", file.display());
    Ok(file)
}

/// A command that runs the executable in `folder`, with nothing of the environment that could change its output.
///
/// # Errors
/// If the executable was not built.
pub fn swift_host(folder: &Path) -> Result<Command> {
    let mut command = Command::new(executable()?);
    command.current_dir(folder).env("NO_COLOR", "1").env("COLUMNS", "100").env("SWIFT_HOST_CACHE", cache()?);
    Ok(command)
}

/// Compiled plugins are shared by all tests, also those of the workspace that have an engine of their own.
fn cache() -> Result<PathBuf> {
    let executable = executable()?;
    // target/debug/swift-host → target/tmp/cache
    Ok(executable.ancestors().nth(2).context("the executable has no build folder")?.join("tmp/cache"))
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
