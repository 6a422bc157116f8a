//! `cargo xtask plugins`: compiles every plugin and makes components of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use swift_author::{TARGET, Toolchain, component, write};

use crate::{steps, workspace};

/// The profile of the workspace that plugins are compiled with.
const PROFILE: &str = "plugin";

/// Builds the standard plugins, and those of the tests, into `target/plugins/NAME.wasm`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(argument) = arguments.first() {
        bail!("`cargo xtask plugins` takes no arguments, and was given `{argument}`");
    }
    let root = workspace::root();
    let packages = packages(&root)?;
    let modules = compile(&root, &packages)?;
    let folder = workspace::target().join("plugins");
    fs::create_dir_all(&folder)?;
    for package in &packages {
        let name = package.trim_start_matches("plugin-");
        let module = modules.join(package.replace('-', "_")).with_extension("wasm");
        let component = folder.join(name).with_extension("wasm");
        let size = encode(&module, &component)
            .with_context(|| format!("can't make a component of plugin `{name}`"))?;
        eprintln!("{size:>8} bytes  {}", component.display());
    }
    Ok(())
}

/// The names of the packages in `plugins/KIND/NAME` and `tests/plugins/NAME`.
fn packages(root: &Path) -> Result<Vec<String>> {
    let mut folders = vec![root.join("tests/plugins")];
    folders.extend(subfolders(&root.join("plugins"))?);
    let mut packages = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for manifest in subfolders(folder)?.into_iter().map(|package| package.join("Cargo.toml")) {
            if manifest.is_file() {
                packages.push(package_name(&manifest)?);
            }
        }
    }
    packages.sort();
    Ok(packages)
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("can't read `{}`", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

fn package_name(manifest: &Path) -> Result<String> {
    let text = fs::read_to_string(manifest)?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    Ok(name.with_context(|| format!("`{}` has no line `name = \"…\"`", manifest.display()))?.to_owned())
}

/// Compiles the packages and gives the folder with their modules.
fn compile(root: &Path, packages: &[String]) -> Result<PathBuf> {
    // A folder of its own: another compiler, other flags, and no waiting for the lock of a build that runs this.
    let target = workspace::target().join("plugins-build");
    let mut command = Toolchain::prepare()?.cargo_build(root);
    command.args(["--locked", "--lib", "--profile", PROFILE, "--target-dir"]).arg(&target);
    packages.iter().for_each(|package| _ = command.args(["--package", package]));
    if !steps::timed("build the plugins", || command.status()).context("can't run cargo")?.success() {
        bail!("the plugins don't compile");
    }
    Ok(target.join(TARGET).join(PROFILE))
}

/// Makes a component of a module and gives its size.
fn encode(module: &Path, file: &Path) -> Result<usize> {
    let bytes = component(&fs::read(module)?)?;
    write(file, &bytes)?;
    Ok(bytes.len())
}
