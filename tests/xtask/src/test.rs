//! `cargo xtask test`: everything that must hold before a change lands.

use std::fs::{self, File};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::{build, plugins, steps, workspace};

/// Checks of the other languages, most of whose steps keep one core busy: lanes go side by side, and a lane's commands one after
/// the other. What needs the system's package manager is in different lanes only if it comes at different ends of them.
const LANES: [&[&str]; 2] = [&["javascript"], &["python", "c"]];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(argument) = arguments.first() {
        bail!("`cargo xtask test` takes no arguments, and was given `{argument}`");
    }
    build::cargo(&["fmt", "--all", "--check"])?;
    plugins::run(&[])?;
    build::swift_host()?;
    // Built first, so that it shows what takes the time.
    build::cargo(&["test", "--locked", "--workspace", "--no-run"])?;
    build::cargo(&["test", "--locked", "--workspace"])?;
    side_by_side(&LANES)?;
    // Clippy shares what was built of the dependencies only in part, so it comes last: a broken test shows sooner.
    build::cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}

/// Runs lanes of this program's commands at once. Each command's output is shown when it has ended.
fn side_by_side(lanes: &[&[&str]]) -> Result<()> {
    thread::scope(|scope| {
        let lanes: Vec<_> = lanes
            .iter()
            .map(|lane| scope.spawn(|| lane.iter().try_for_each(|command| apart(command))))
            .collect();
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| anyhow::anyhow!("a lane panicked"))?)
    })
}

/// Runs a command of this program with its output in a file, and then shows that.
fn apart(name: &str) -> Result<()> {
    eprintln!("running `cargo xtask {name}`");
    let path = workspace::target().join("xtask").join(name).with_extension("log");
    let log = File::create(&path).with_context(|| format!("can't write `{}`", path.display()))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name).stdout(log.try_clone()?).stderr(log);
    let status = steps::timed(&format!("cargo xtask {name}"), || command.status())?;
    eprint!("{}", String::from_utf8_lossy(&fs::read(&path)?));
    if !status.success() {
        bail!("`cargo xtask {name}` failed");
    }
    eprintln!("`cargo xtask {name}` passed");
    Ok(())
}
