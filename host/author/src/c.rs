//! Components of losses in C: the SDK, the bindings of the contract, and one call of Clang.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::{Resolve, SourceMap};

use crate::build::{answers, component_of, run};
use crate::toolchain::wasm_linker;
use crate::{Error, Result, component, write};

/// What brings the compiler and its linker.
const INSTALL: &str = "apt-get install -y clang lld";

/// The world of the contract that a plugin implements.
const WORLD: &str = "loss-plugin";

/// What the bindings are called after it.
const BINDINGS: [&str; 2] = ["loss_plugin.c", "loss_plugin_component_type.o"];

/// A module for the sandbox, with no C library behind it.
const FLAGS: [&str; 10] = [
    "--target=wasm32",
    "-std=c17",
    "-O2",
    "-ffreestanding",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wl,--no-entry",
    "-Wl,--strip-debug",
];

macro_rules! files {
    ($folder:literal: $($name:literal)*) => {
        [$(($name, include_str!(concat!($folder, $name)))),*]
    };
}

/// The contract.
const CONTRACT: [(&str, &str); 13] = files!("../../../wit/": "callback.wit" "dataset.wit" "loss.wit" "metric.wit"
    "model.wit" "optimizer.wit" "reward.wit" "sampler.wit" "schedule.wit" "template.wit" "tensor.wit" "tool-parser.wit" "worlds.wit");

/// The SDK's headers.
const HEADERS: [(&str, &str); 5] = files!("../../../sdk/c/include/": "swift_plugin.h" "swift_tensor.h"
    "swift_parameters.h" "freestanding/stdlib.h" "freestanding/string.h");

/// The SDK's sources.
const SOURCES: [(&str, &str); 4] =
    files!("../../../sdk/c/src/": "memory.c" "parameters.c" "swift_plugin.c" "views.c");

/// Makes a component of a file. What is compiled with it is left in `NAME.build` beside the component, for editors.
pub(crate) fn build(source: &Path, output: Option<&Path>) -> Result<PathBuf> {
    let missing = |what| Error::ToolMissing { what, command: INSTALL.to_owned() };
    if !answers("clang") {
        return Err(missing("The compiler `clang`"));
    }
    let linker = wasm_linker().ok_or_else(|| missing("The linker `wasm-ld`"))?;
    let output = output.map_or_else(|| component_of(source), Path::to_owned);
    let folder = output.with_extension("build");
    for (name, text) in HEADERS.iter().chain(&SOURCES) {
        save(&folder.join(name), text.as_bytes())?;
    }
    for (name, bytes) in bindings()?.iter() {
        save(&folder.join(name), bytes)?;
    }
    let module = folder.join("module.wasm");
    let mut clang = Command::new("clang");
    clang.args(FLAGS).arg(format!("-fuse-ld={}", linker.display())).arg(source);
    clang.args(SOURCES.iter().map(|(name, _)| *name).chain(BINDINGS).map(|file| folder.join(file)));
    for include in [folder.clone(), folder.join("freestanding")] {
        clang.arg("-I").arg(include);
    }
    run(clang.arg("-o").arg(&module))?;
    write(&output, &component(&fs::read(&module).map_err(Error::file("read", &module))?)?)?;
    Ok(output)
}

/// Writes a file, in a folder that is made if need be.
fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
    }
    write(path, bytes)
}

/// The bindings of the world, from the contract.
fn bindings() -> Result<Files> {
    let mut sources = SourceMap::default();
    for (name, text) in CONTRACT {
        sources.push(Path::new(name), text);
    }
    let group = sources.parse().map_err(|(_, error)| told(error))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).map_err(told)?;
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(told)?;
    let mut files = Files::default();
    Opts::default().build().generate(&mut resolve, world, &mut files).map_err(told)?;
    Ok(files)
}

fn told(error: impl Display) -> Error {
    Error::Bindings(format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_the_whole_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let mut there: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".wit"))
            .collect();
        there.sort();
        assert_eq!(there, CONTRACT.map(|(name, _)| name));
    }

    #[test]
    fn the_header_has_every_operation_of_the_contract() {
        let text =
            |files: &[(&str, &'static str)], name| files.iter().find(|(file, _)| *file == name).unwrap().1;
        let (header, contract) = (text(&HEADERS, "swift_tensor.h"), text(&CONTRACT, "tensor.wit"));
        let operations: Vec<String> = contract
            .lines()
            .filter(|line| line.contains("-> result<tensor, error>;"))
            .map(|line| line.trim().trim_start_matches('%').split(':').next().unwrap().replace('-', "_"))
            .collect();
        assert!(operations.len() > 50, "{operations:?}");
        for name in operations {
            let forms = [format!("({name})"), format!("({name},"), format!("tensor_{name}")];
            assert!(forms.iter().any(|form| header.contains(form)), "{name}");
        }
    }

    #[test]
    fn the_bindings_are_those_that_are_compiled() {
        let made = bindings().unwrap();
        let names: Vec<&str> = made.iter().map(|(name, _)| name).collect();
        assert!(BINDINGS.iter().all(|name| names.contains(name)), "{names:?}");
        assert!(names.contains(&"loss_plugin.h"), "{names:?}");
    }
}
