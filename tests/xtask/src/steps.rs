//! How long the steps of a command take.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace;

static STEPS: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());

/// Does a step, and remembers how long it took.
pub(crate) fn timed<T>(name: &str, step: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = step();
    STEPS.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), start.elapsed()));
    result
}

/// Runs a command in a folder, which is a step.
pub(crate) fn call(command: &mut Command, folder: &Path) -> Result<()> {
    let shown = shown(command);
    // What the host compiles is shared with the tests.
    command.current_dir(folder).env("SWIFT_HOST_CACHE", workspace::target().join("tmp/cache"));
    let status = timed(&shown, || command.status());
    if !status.with_context(|| format!("can't run `{shown}`"))?.success() {
        bail!("`{shown}` failed");
    }
    Ok(())
}

/// A command as it would be typed.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or(program.as_os_str())).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Shows how long each step took, if there were several, in the order in which they ended.
pub(crate) fn tell() {
    let steps = STEPS.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, time) in steps.iter().filter(|_| steps.len() > 1) {
        eprintln!("{:7.1} s  {name}", time.as_secs_f64());
    }
}
