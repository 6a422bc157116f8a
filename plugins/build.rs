//! Lists the components that `cargo xtask plugins` made of the packages beside this file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=SWIFT_PLUGINS");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let output = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let built = match env::var_os("SWIFT_PLUGINS") {
        Some(folder) => PathBuf::from(folder),
        None => target(&here, &output).join("plugins"),
    };
    let mut table = String::from("&[\n");
    for name in names(&here)? {
        let component = built.join(&name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", component.display());
        if !component.is_file() {
            println!(
                "cargo::error=the standard plugins are not built: there is no `{}`",
                component.display()
            );
            println!("cargo::error=hint: run `cargo xtask plugins`");
            return Ok(());
        }
        let _ = writeln!(table, "    ({name:?}, include_bytes!({component:?})),");
    }
    table.push(']');
    fs::write(output.join("standard.rs"), table)
}

/// The names of the packages `KIND/NAME` in order.
fn names(here: &Path) -> io::Result<Vec<String>> {
    println!("cargo::rerun-if-changed={}", here.display());
    let mut names = Vec::new();
    for kind in fs::read_dir(here)? {
        let kind = kind?.path();
        if !kind.is_dir() || kind.ends_with("src") {
            continue;
        }
        for package in fs::read_dir(kind)? {
            let package = package?;
            if package.path().join("Cargo.toml").is_file() {
                names.push(package.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// The folder of everything that is built: the one that this script's output is in, else the workspace's.
fn target(here: &Path, output: &Path) -> PathBuf {
    let found = output.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    found.map_or_else(|| here.join("../target"), Path::to_path_buf)
}
