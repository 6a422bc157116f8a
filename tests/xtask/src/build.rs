//! Building with cargo.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{steps, workspace};

/// Runs cargo in the workspace, with the toolchain that built this command.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    steps::call(&mut cargo_command(arguments), &workspace::root())
}

/// Such a command, not yet run.
pub(crate) fn cargo_command(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace::root()).args(arguments);
    // What cargo says of this program. Build scripts that look at it would run again whenever cargo is called without it.
    for (name, _) in std::env::vars_os() {
        let is_of_cargo = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_cargo) {
            command.env_remove(name);
        }
    }
    command
}

/// Builds the executable and says where it is. The standard plugins must have been built.
///
/// Cargo compiles a dependency with the features that the selected packages ask for. The selection is the one that the
/// tests have, so that wasmtime and what stands on it are compiled once for both.
pub(crate) fn swift_host() -> Result<PathBuf> {
    cargo(&["build", "--locked", "--workspace", "--bin", "swift-host"])?;
    Ok(workspace::target().join("debug/swift-host"))
}
