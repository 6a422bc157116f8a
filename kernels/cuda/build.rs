//! Compiles `kernels/*.cu`: by nvcc to PTX, which is kept in the executable and which the driver compiles for the GPU that is
//! there, or by the C++ compiler into a library that emulates a GPU. Without a feature it does nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The oldest GPUs that the kernels are for: those with matrix units for `bf16` (Ampere).
const ARCHITECTURE: &str = "compute_80";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=emulator");
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut sources: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(here.join("kernels"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cu") {
            sources.push(path);
        }
    }
    sources.sort();
    if std::env::var_os("CARGO_FEATURE_DEVICE").is_some() {
        compile(&sources, &out)?;
    }
    if std::env::var_os("CARGO_FEATURE_EMULATION").is_some() {
        emulate(&here, &sources, &out)?;
    }
    Ok(())
}

/// Writes a list of the modules with their PTX.
fn compile(sources: &[PathBuf], out: &Path) -> Result<()> {
    println!("cargo::rerun-if-env-changed=NVCC");
    let nvcc = std::env::var("NVCC").unwrap_or_else(|_| "nvcc".to_owned());
    let mut table = String::from("&[\n");
    for source in sources {
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        let ptx = out.join(format!("{name}.ptx"));
        let mut command = Command::new(&nvcc);
        command.args(["--ptx", "-std=c++17", "-O3", "--gpu-architecture", ARCHITECTURE, "-o"]);
        run(command.arg(&ptx).arg(source))?;
        table += &format!("    ({name:?}, include_str!({:?})),\n", ptx.display().to_string());
    }
    fs::write(out.join("modules.rs"), table + "]\n")?;
    Ok(())
}

/// Makes a library of the emulator and all kernels, as one unit, so that the linker leaves no kernel out.
fn emulate(here: &Path, sources: &[PathBuf], out: &Path) -> Result<()> {
    let (unit, object, library) = (out.join("all.cpp"), out.join("all.o"), out.join("libswift_emulator.a"));
    let emulator = here.join("emulator/emulator.cpp");
    let includes = std::iter::once(&emulator).chain(sources);
    fs::write(
        &unit,
        includes.map(|path| format!("#include {:?}\n", path.display().to_string())).collect::<String>(),
    )?;
    println!("cargo::rerun-if-env-changed=CXX");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut command = Command::new(compiler);
    command.args(["-c", "-std=c++17", "-O2", "-fPIC", "-Wno-unknown-pragmas", "-DEMULATION", "-o"]);
    run(command.arg(&object).arg(&unit))?;
    run(Command::new("ar").arg("crs").arg(&library).arg(&object))?;
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=swift_emulator");
    println!("cargo::rustc-link-lib=dylib=stdc++");
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("can't run {command:?}: {error}"))?;
    if !status.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok(())
}
