//! `cargo xtask c`: makes components of plugins in C, and checks what the host makes of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use swift_author::{Language, build};

use crate::{sdk, workspace};

/// Components that the tests of the host need, and where their sources are in `sdk/c`.
const PLUGINS: [(&str, &str); 5] = [
    ("focal", "examples/focal.c"),
    ("mistakes", "tests/mistakes.c"),
    ("counting", "tests/counting.c"),
    ("solved", "tests/solved.c"),
    ("falling", "tests/falling.c"),
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    sdk::without_arguments("c", arguments)?;
    let components = components()?;
    sdk::test(&components, "c")?;
    sdk::projects(Language::C, |_, project, swift_host| {
        let mut make = Command::new("make");
        sdk::call(make.arg("test").env("SWIFT_HOST", swift_host), project)
    })
}

/// Makes the components, and gives their folder.
pub(crate) fn components() -> Result<PathBuf> {
    sdk::install(&["clang", "wasm-ld", "make"], &["clang", "lld", "make"])?;
    let source = workspace::root().join("sdk/c");
    let folder = workspace::target().join("c/plugins");
    fs::create_dir_all(&folder)?;
    for (name, file) in PLUGINS {
        let component = folder.join(name).with_extension("wasm");
        build(&source.join(file), Some(&component))?;
        eprintln!("{:>8} bytes  {}", fs::metadata(&component)?.len(), component.display());
    }
    Ok(folder)
}
