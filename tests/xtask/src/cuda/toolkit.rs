//! The compiler and libraries of CUDA, from Python's package index into `target/cuda/toolkit`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, sdk, workspace};

/// Libraries by the names that linkers look for, beside those that packages have.
const LINKS: &[(&str, &str)] = &[
    ("libcublas.so", "libcublas.so.13"),
    ("libcublasLt.so", "libcublasLt.so.13"),
    ("libcudart.so", "libcudart.so.13"),
    ("libcurand.so", "libcurand.so.10"),
    ("libnvrtc.so", "libnvrtc.so.13"),
];

/// Writes empty objects, and hands everything else on.
const FOR_CHECKS: &str = r#"#!/bin/sh
previous=
for argument; do
  [ "$previous" = -o ] && result=$argument
  case "$argument" in -c | --lib) object=yes ;; esac
  previous=$argument
done
if [ -n "${object:-}" ]; then : >"$result"; else exec "@nvcc@" "$@"; fi
"#;

/// A folder laid out as an installation of CUDA is.
pub(super) struct Toolkit {
    home: PathBuf,
}

impl Toolkit {
    /// Takes the toolkit that was fetched before, or fetches it.
    pub(super) fn fetch() -> Result<Self> {
        let folder = workspace::target().join("cuda/toolkit");
        let requirements = workspace::root().join("tests/gpu/requirements.txt");
        let toolkit = Self { home: folder.join("nvidia/cu13") };
        let done = folder.join("requirements.txt");
        if fs::read(&done).ok() == Some(fs::read(&requirements)?) {
            return Ok(toolkit);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        pip.args(["--only-binary", ":all:", "--target"]).arg(&folder).arg("--requirement").arg(&requirements);
        sdk::call(&mut pip, &workspace::root())?;
        toolkit.link()?;
        toolkit.write_driver()?;
        fs::copy(&requirements, &done)?;
        Ok(toolkit)
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// A compiler that leaves out what only linking needs: the objects of candle's kernels, which take half an hour.
    pub(super) fn compiler_for_checks(&self) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.home.join("bin/nvcc-for-checks");
        let real = self.home.join("bin/nvcc");
        fs::write(&path, FOR_CHECKS.replace("@nvcc@", &real.display().to_string()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    fn link(&self) -> Result<()> {
        let libraries = self.home.join("lib");
        for (link, library) in LINKS {
            if !libraries.join(library).exists() {
                bail!("the packages of CUDA have no `{library}`");
            }
            symlink(library, &libraries.join(link))?;
        }
        symlink("lib", &self.home.join("lib64"))
    }

    /// A library to link against in place of the driver's, which no package has: it defines all functions that cudarc
    /// declares, so that the executable asks for the driver's library and finds them there.
    fn write_driver(&self) -> Result<()> {
        let names = driver_functions()?;
        let stubs = self.home.join("lib/stubs");
        fs::create_dir_all(&stubs)?;
        let source = stubs.join("cuda.c");
        fs::write(&source, names.iter().map(|name| format!("void {name}(void) {{}}\n")).collect::<String>())?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-nostdlib", "-fPIC", "-fno-builtin", "-Wl,-soname,libcuda.so.1", "-o"]);
        sdk::call(compiler.arg(stubs.join("libcuda.so")).arg(&source), &stubs)
    }
}

fn symlink(to: &str, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(to, link).with_context(|| format!("can't make `{}`", link.display()))
}

/// The functions of the driver that cudarc declares, read from its source.
fn driver_functions() -> Result<BTreeSet<String>> {
    let arguments = ["metadata", "--locked", "--format-version", "1", "--features", super::FEATURE];
    let output = build::cargo_command(&arguments).output().context("can't run cargo")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let is_it = |package: &&serde_json::Value| package.get("name").is_some_and(|name| name == "cudarc");
    let manifest = metadata
        .get("packages")
        .and_then(|packages| packages.as_array()?.iter().find(is_it))
        .and_then(|package| package.get("manifest_path")?.as_str())
        .context("cargo knows no package `cudarc`")?;
    let source = Path::new(manifest).with_file_name("src/driver/sys/mod.rs");
    let text = fs::read_to_string(&source).with_context(|| format!("can't read `{}`", source.display()))?;
    let declared = text.split("fn ").filter_map(|rest| rest.split('(').next());
    let names: BTreeSet<String> =
        declared.filter(|name| name.starts_with("cu") && !name.contains(' ')).map(str::to_owned).collect();
    if names.is_empty() {
        bail!("`{}` declares no functions of the driver", source.display());
    }
    Ok(names)
}
