use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::language::{Entry, Language};
use crate::{Error, Result, TARGET, Toolchain, component, write};

/// Builds a plugin and gives the component's path: a folder with a `Cargo.toml` or with one source in another language, or
/// such a source. Without `output` it is `NAME.wasm` in the project's folder. The tools write their messages to stderr.
///
/// # Errors
/// If it is no project, a tool is missing (the error says the one command that brings it), or the build fails.
pub fn build(project: &Path, output: Option<&Path>) -> Result<PathBuf> {
    if project.join("Cargo.toml").is_file() {
        return rust(project, output);
    }
    if let Some(entry) = language(project).filter(|_| project.is_file()) {
        return (entry.build)(project, output);
    }
    let files = fs::read_dir(project).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut sources = files.filter(|path| !is_test(path)).filter_map(|path| Some((language(&path)?, path)));
    match (sources.next(), sources.next()) {
        (Some((entry, source)), None) => (entry.build)(&source, output),
        _ => Err(Error::NoProject(project.to_owned())),
    }
}

/// What a file is written in, by how its name ends.
fn language(path: &Path) -> Option<&'static Entry> {
    let ending = path.extension()?.to_str()?;
    Language::ALL.into_iter().map(Language::entry).find(|entry| entry.ending == Some(ending))
}

/// Tests and declarations lie beside the source.
fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("test_") || name.contains(".test.") || name.ends_with(".d.ts")
}

pub(crate) fn rust(project: &Path, output: Option<&Path>) -> Result<PathBuf> {
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

pub(crate) fn python(source: &Path, output: Option<&Path>) -> Result<PathBuf> {
    let python = interpreter(source);
    let has_sdk = Command::new(&python).args(["-c", "import swift_plugin.build"]).output();
    if !has_sdk.is_ok_and(|output| output.status.success()) {
        let requirements = source.with_file_name("requirements.txt");
        let command = format!("{} -m pip install -r {}", python.display(), requirements.display());
        return Err(Error::ToolMissing { what: "The Python package `swift_plugin`", command });
    }
    let output = output.map_or_else(|| component_of(source), Path::to_owned);
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

/// Of JavaScript and TypeScript.
pub(crate) fn javascript(source: &Path, output: Option<&Path>) -> Result<PathBuf> {
    if !answers("node") {
        let command = "apt-get install -y nodejs npm".to_owned();
        return Err(Error::ToolMissing { what: "The runtime `node`", command });
    }
    // Packages are looked for as Node.js does: here, and in every folder above.
    let source = absolute(source);
    let tool = |folder: &Path| folder.join("node_modules/.bin/swift-plugin-build");
    let Some(tool) = source.ancestors().skip(1).map(tool).find(|tool| tool.is_file()) else {
        let folder = source.parent().unwrap_or(&source);
        let command = format!("npm install --prefix {}", folder.display());
        return Err(Error::ToolMissing { what: "The npm package `swift-plugin`", command });
    };
    let output = output.map_or_else(|| component_of(&source), Path::to_owned);
    run(Command::new("node").arg(tool).arg(&source).arg("-o").arg(&output))?;
    Ok(output)
}

/// The component of a source, beside it and called as the plugin.
pub(crate) fn component_of(source: &Path) -> PathBuf {
    let name = source.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
    source.with_file_name(name).with_extension("wasm")
}

/// Whether a program is there.
pub(crate) fn answers(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    match command.stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Error::Failed(shown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_known_by_its_ending_and_a_test_is_none() {
        let name = |path: &str| language(Path::new(path)).map(|entry| entry.name);
        assert_eq!(name("a/b.py"), Some("python"));
        assert_eq!(name("b.js"), Some("js"));
        assert_eq!(name("b.ts"), Some("ts"));
        assert_eq!(name("b.c"), Some("c"));
        assert_eq!((name("b.rs"), name("b.h"), name("Makefile")), (None, None, None));
        assert!(is_test(Path::new("a/test_b.py")) && is_test(Path::new("b.test.js")));
        assert!(!is_test(Path::new("latest.js")) && is_test(Path::new("b.d.ts")));
    }

    #[test]
    fn a_component_is_called_as_the_plugin() {
        assert_eq!(component_of(Path::new("a/my_own.c")), Path::new("a/my-own.wasm"));
    }
}
