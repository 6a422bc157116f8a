//! `cargo xtask gpu`: all that is needed to check the build for CUDA on a machine with a GPU, in one file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::toolkit::Toolkit;
use crate::{plugins, sdk, workspace};

/// What goes along, besides executables: a small model, rows to learn from, and what peers made of them.
const DATA: [&str; 2] = ["tests/golden/tiny-qwen2", "tests/golden/traces"];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    sdk::without_arguments("gpu", arguments)?;
    plugins::run(&[])?;
    let folder = workspace::target().join("cuda/swift-gpu");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let conformance = conformance()?;
    let executable = super::executable()?;
    for (from, name) in [(&executable, "swift-host"), (&conformance, "conformance")] {
        let to = folder.join(name);
        fs::copy(from, &to).with_context(|| format!("can't copy `{}`", from.display()))?;
        sdk::call(Command::new("strip").arg(&to), &folder)?;
    }
    for path in ["tests/gpu/run.sh", "tests/gpu/traces.py", "tests/gpu/speed.py", "tests/gpu/graphs.py"] {
        let path = workspace::root().join(path);
        fs::copy(&path, folder.join(path.file_name().context("a file")?))?;
    }
    for data in DATA {
        copy(&workspace::root().join(data), &folder.join(Path::new(data).file_name().context("a folder")?))?;
    }
    let archive = folder.with_extension("tar.xz");
    let mut tar = Command::new("tar");
    tar.arg("cJf").arg(&archive).args(["-C"]).arg(folder.parent().context("a folder")?).arg("swift-gpu");
    sdk::call(&mut tar, &workspace::root())?;
    let size = fs::metadata(&archive)?.len() >> 20;
    eprintln!(
        "packed {} ({size} MiB); on a machine with a GPU: tar xf it, and run swift-gpu/run.sh",
        archive.display()
    );
    Ok(())
}

/// Builds the test of all operations, and says where it is.
fn conformance() -> Result<PathBuf> {
    let toolkit = Toolkit::fetch()?;
    let arguments = ["test", "--release", "--locked", "--workspace", "--features", super::FEATURE, "--test"];
    let mut cargo = super::cargo(&toolkit, &arguments);
    cargo.args(["conformance", "--no-run", "--message-format", "json"]).stderr(Stdio::inherit());
    let output = cargo.output().context("can't run cargo")?;
    if !output.status.success() {
        bail!("the test of operations does not build");
    }
    let lines = String::from_utf8(output.stdout)?;
    let built = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|line| {
            let is_it = line.pointer("/target/name").is_some_and(|name| name == "conformance");
            line.get("executable")?.as_str().filter(|_| is_it).map(PathBuf::from)
        });
    built.context("cargo names no executable")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    sdk::call(Command::new("cp").arg("-r").arg(from).arg(to), &workspace::root())
}
