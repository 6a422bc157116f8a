//! Components of plugins in C: the SDK, the bindings of the contract, and one call of Clang.

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

/// A kind of plugins that the SDK has a header for, which is how a source says what it is: `swift_loss.h`.
struct Kind {
    name: &'static str,
    /// The SDK's sources that not all kinds have.
    sources: &'static [&'static str],
}

const KINDS: [Kind; 4] = [
    Kind { name: "loss", sources: &["tensors.c", "views.c", "loss.c"] },
    Kind { name: "metric", sources: &["tensors.c", "views.c", "metric.c"] },
    Kind { name: "reward", sources: &["reward.c"] },
    Kind { name: "schedule", sources: &["schedule.c"] },
];

/// Sources of every kind.
const COMMON: [&str; 3] = ["memory.c", "parameters.c", "plugin.c"];

impl Kind {
    /// That of a source.
    fn of(text: &str) -> Option<&'static Self> {
        let includes = |kind: &&Self| {
            let mut lines = text.lines().filter(|line| line.trim_start().starts_with("#include"));
            lines.any(|line| line.contains(&format!("\"{}\"", kind.header())))
        };
        KINDS.iter().find(includes)
    }

    fn header(&self) -> String {
        format!("swift_{}.h", self.name)
    }

    /// What is compiled with a source.
    fn compiled(&self) -> impl Iterator<Item = String> {
        // What the bindings are called after the world.
        let bindings = ["plugin.c", "plugin_component_type.o"].map(|end| format!("{}_{end}", self.name));
        COMMON.iter().chain(self.sources).map(|name| (*name).to_owned()).chain(bindings)
    }
}

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
const HEADERS: [(&str, &str); 10] = files!("../../../sdk/c/include/": "swift_plugin.h" "swift_tensor.h" "swift_handles.h"
    "swift_parameters.h" "swift_loss.h" "swift_metric.h" "swift_reward.h" "swift_schedule.h" "freestanding/stdlib.h"
    "freestanding/string.h");

/// The SDK's sources.
const SOURCES: [(&str, &str); 9] = files!("../../../sdk/c/src/": "memory.c" "parameters.c" "plugin.c" "tensors.c" "views.c"
    "loss.c" "metric.c" "reward.c" "schedule.c");

/// Makes a component of a file. What is compiled with it is left in `NAME.build` beside the component, for editors.
pub(crate) fn build(source: &Path, output: Option<&Path>) -> Result<PathBuf> {
    let missing = |what| Error::ToolMissing { what, command: INSTALL.to_owned() };
    if !answers("clang") {
        return Err(missing("The compiler `clang`"));
    }
    let text = fs::read_to_string(source).map_err(Error::file("read", source))?;
    let kind = Kind::of(&text).ok_or_else(|| Error::Header {
        path: source.to_owned(),
        known: KINDS.iter().map(Kind::header).collect(),
    })?;
    let linker = wasm_linker().ok_or_else(|| missing("The linker `wasm-ld`"))?;
    let output = output.map_or_else(|| component_of(source), Path::to_owned);
    let folder = output.with_extension("build");
    for (name, text) in HEADERS.iter().chain(&SOURCES) {
        save(&folder.join(name), text.as_bytes())?;
    }
    save(&folder.join("swift_kind.h"), format!("#include \"{}\"\n", kind.header()).as_bytes())?;
    for (name, bytes) in bindings(kind)?.iter() {
        save(&folder.join(name), bytes)?;
    }
    let module = folder.join("module.wasm");
    let mut clang = Command::new("clang");
    clang.args(FLAGS).arg(format!("-fuse-ld={}", linker.display())).arg(source);
    clang.args(kind.compiled().map(|file| folder.join(file)));
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

/// The bindings of a kind's world, from the contract.
fn bindings(kind: &Kind) -> Result<Files> {
    let mut sources = SourceMap::default();
    for (name, text) in CONTRACT {
        sources.push(Path::new(name), text);
    }
    let group = sources.parse().map_err(|(_, error)| told(error))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).map_err(told)?;
    let world = format!("{}-plugin", kind.name);
    let world = resolve.select_world(&[package], Some(&world)).map_err(told)?;
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
    fn all_that_is_compiled_is_there() {
        for kind in KINDS {
            let made = bindings(&kind).unwrap();
            let names = made.iter().map(|(name, _)| name).chain(SOURCES.map(|(name, _)| name));
            let names: Vec<&str> = names.collect();
            let mut compiled = kind.compiled();
            assert!(compiled.all(|file| names.contains(&file.as_str())), "{}: {names:?}", kind.name);
            assert!(HEADERS.iter().any(|(name, _)| *name == kind.header()), "{}", kind.name);
        }
    }

    #[test]
    fn a_source_is_of_the_kind_whose_header_it_includes() {
        let of = |text| Kind::of(text).map(|kind| kind.name);
        assert_eq!(of("// swift_loss.h\n#include \"swift_reward.h\"\n"), Some("reward"));
        assert_eq!(of("#include \"swift_plugin.h\"\n"), None);
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert!(crate::Language::C.kinds().eq(known));
    }
}
