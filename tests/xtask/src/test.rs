//! `cargo xtask test`: everything that must hold before a change lands.

use anyhow::{Result, bail};

use crate::{build, c, javascript, plugins, python};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(argument) = arguments.first() {
        bail!("`cargo xtask test` takes no arguments, and was given `{argument}`");
    }
    build::cargo(&["fmt", "--all", "--check"])?;
    plugins::run(&[])?;
    build::swift_host()?;
    build::cargo(&["test", "--locked", "--workspace"])?;
    python::run(&[])?;
    javascript::run(&[])?;
    c::run(&[])?;
    // Clippy shares what was built of the dependencies only in part, so it comes last: a broken test shows sooner.
    build::cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}
