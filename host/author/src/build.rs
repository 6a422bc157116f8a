use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result, TARGET, Toolchain, component, write};

/// Builds a plugin and gives the component's path: a folder with a `Cargo.toml`, or a file in Python. Without `output` it is
/// `NAME.wasm` in the project's folder. The tools write their messages to stderr.
///
/// # Errors
/// If it is no project, a tool is missing (the error says the one command that brings it), or the build fails.
pub fn build(project: &Path, output: Option<&Path>) -> Result<PathBuf> {
    if project.join("Cargo.toml").is_file() {
        return rust(project, output);
    }
    let is_python = |path: &Path| path.extension().is_some_and(|end| end == "py");
    if is_python(project) && project.is_file() {
        return python(project, output);
    }
    let sources = fs::read_dir(project).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_test =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("test_"));
    let mut sources = sources.filter(|path| is_python(path) && !is_test(path));
    match (sources.next(), sources.next()) {
        (Some(source), None) => python(&source, output),
        _ => Err(Error::NoProject(project.to_owned())),
    }
}

fn rust(project: &Path, output: Option<&Path>) -> Result<PathBuf> {
    let manifest = project.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(Error::file("read", &manifest))?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let name = name.ok_or_else(|| Error::NoProject(project.to_owned()))?;
    let target = project.join("target/plugin");
    let mut command = Toolchain::prepare()?.cargo_build(project);
    command.args(["--lib", "--release", "--target-dir"]).arg(absolute(&target));
    run(&mut command)?;
    let module = target.join(TARGET).join("release").join(name.replace('-', "_")).with_extension("wasm");
    let bytes = component(&fs::read(&module).map_err(Error::file("read", &module))?)?;
    let output = output.map_or_else(|| project.join(name).with_extension("wasm"), Path::to_owned);
    write(&output, &bytes)?;
    Ok(output)
}

/// Cargo runs in the project's folder, so paths from here would mean something else to it.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn python(source: &Path, output: Option<&Path>) -> Result<PathBuf> {
    let python = interpreter(source);
    let has_sdk = Command::new(&python).args(["-c", "import swift_plugin.build"]).output();
    if !has_sdk.is_ok_and(|output| output.status.success()) {
        let requirements = source.with_file_name("requirements.txt");
        let command = format!("{} -m pip install -r {}", python.display(), requirements.display());
        return Err(Error::ToolMissing { what: "The Python package `swift_plugin`", command });
    }
    let name = source.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
    let output = output.map_or_else(|| source.with_file_name(name).with_extension("wasm"), Path::to_owned);
    let mut command = Command::new(python);
    run(command.args(["-m", "swift_plugin.build"]).arg(source).arg("-o").arg(&output))?;
    Ok(output)
}

/// The interpreter of the environment beside the source or of the one that is active, or else the system's.
fn interpreter(source: &Path) -> PathBuf {
    let beside = source.with_file_name(".venv").join("bin/python");
    let active = std::env::var_os("VIRTUAL_ENV").map(|folder| PathBuf::from(folder).join("bin/python"));
    [Some(beside), active]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
        .unwrap_or_else(|| "python3".into())
}

fn run(command: &mut Command) -> Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    match command.stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Error::Failed(shown)),
    }
}
