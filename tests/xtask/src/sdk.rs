//! What the commands for plugins in other languages have in common.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use swift_author::{Language, Project, create};

pub(crate) use crate::steps::call;
use crate::{build, workspace};

/// Refuses arguments, which the commands for SDKs have none of.
pub(crate) fn without_arguments(command: &str, arguments: &[String]) -> Result<()> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => bail!("`cargo xtask {command}` takes no arguments, and was given `{argument}`"),
    }
}

/// Sees that programs are there; else installs Debian's packages where that is possible, and says what to do where not.
pub(crate) fn install(programs: &[&str], packages: &[&str]) -> Result<()> {
    let missing = || programs.iter().find(|program| !is_there(program));
    if missing().is_none() {
        return Ok(());
    }
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    for arguments in [&["update"][..], &install] {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
        if !command.status().is_ok_and(|status| status.success()) {
            break;
        }
    }
    match missing() {
        None => Ok(()),
        Some(program) => {
            bail!("`{program}` is not installed; run: apt-get install -y {}", packages.join(" "))
        }
    }
}

/// Whether a program answers; Debian adds its version to the linker's name.
fn is_there(program: &str) -> bool {
    let names = std::iter::once(program.to_owned())
        .chain((17..30).rev().filter(|_| program == "wasm-ld").map(|version| format!("{program}-{version}")));
    names.into_iter().any(|name| Command::new(name).arg("--version").output().is_ok())
}

/// Whether a file is there and newer than all sources, which are files or folders with all that is in them.
pub(crate) fn is_newer<'a>(file: &Path, sources: impl Iterator<Item = &'a PathBuf>) -> Result<bool> {
    let Ok(made) = fs::metadata(file).and_then(|metadata| metadata.modified()) else { return Ok(false) };
    for source in sources {
        if latest(source).with_context(|| format!("can't read `{}`", source.display()))? >= made {
            return Ok(false);
        }
    }
    Ok(true)
}

/// When a file or anything in a folder was last changed.
fn latest(path: &Path) -> std::io::Result<SystemTime> {
    let mut latest = fs::metadata(path)?.modified()?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            latest = latest.max(self::latest(&entry?.path())?);
        }
    }
    Ok(latest)
}

/// Runs the tests of the worked example with the components in a folder, beside its sibling in Rust, and those of a language,
/// which are the same for all languages with every kind of plugin. The former are called `sdk` in two packages. What runs the
/// example from the command line is built before.
pub(crate) fn test(plugins: &Path, language: &str) -> Result<()> {
    crate::plugins::run(&[])?;
    build::swift_host()?;
    // Of the workspace, so that dependencies have the same features as in all other tests and need not be built again.
    let mut command = build::cargo_command(&["test", "--locked", "--workspace", "--test", "sdk"]);
    command.args(["--test", if language == "c" { "c" } else { "languages" }]);
    command.env("SWIFT_SDK_PLUGINS", plugins).env("SWIFT_SDK_LANGUAGE", language);
    call(&mut command, &workspace::root())
}

/// Makes a new project of every kind that there is in a language, and has it tested, given its kind, with the host's
/// executable, which must have been built.
pub(crate) fn projects(language: Language, test: impl Fn(&str, &Path, &Path) -> Result<()>) -> Result<()> {
    let folder = workspace::target().join("projects").join(language.name());
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let swift_host = workspace::target().join("debug/swift-host");
    for kind in language.kinds() {
        let folder = folder.join(kind);
        create(&Project { language, kind, name: "my-own", folder: &folder })?;
        eprintln!("testing `{}`", folder.display());
        test(kind, &folder, &swift_host)?;
    }
    Ok(())
}
