//! Finds a way to compile Rust to WebAssembly on this machine, and makes one where there is none yet.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result};

/// What plugins are compiled for: no operating system at all, not even WASI.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's second Rust: compiler, cargo and the standard library's source; and a linker.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];

/// A compiler that can make WebAssembly, with what it needs to be told.
#[derive(Debug, PartialEq)]
pub struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    /// The source of the standard library, if that has to be compiled too.
    source: Option<PathBuf>,
    /// The linker, where the compiler brings none.
    linker: Option<PathBuf>,
}

impl Toolchain {
    /// The first of: a toolchain that is ready, rustup's target, Debian's packages. The latter two are installed if need be.
    ///
    /// # Errors
    /// If none can be had.
    pub fn prepare() -> Result<Self> {
        if let Some(ready) = Self::ready() {
            return Ok(ready);
        }
        for (attempt, commands) in [("rustup", vec![rustup()]), ("Debian's packages", debian())] {
            if commands.is_empty() {
                continue;
            }
            eprintln!("preparing WebAssembly with {attempt}");
            let done =
                commands.into_iter().all(|mut command| command.status().is_ok_and(|status| status.success()));
            if let Some(ready) = done.then(Self::ready).flatten() {
                return Ok(ready);
            }
        }
        Err(Error::ToolMissing {
            what: "A compiler from Rust to WebAssembly",
            command: format!("rustup target add {TARGET}"),
        })
    }

    /// A toolchain that needs nothing installed: the one that runs this command, or the system's own.
    fn ready() -> Option<Self> {
        let current =
            || Self::inspect(PathBuf::from("cargo"), PathBuf::from("rustc"), &sysroot(Path::new("rustc"))?);
        let system = || {
            let (cargo, rustc) = (PathBuf::from("/usr/bin/cargo"), PathBuf::from("/usr/bin/rustc"));
            let sysroot = if cargo.exists() { sysroot(&rustc)? } else { return None };
            Self::inspect(cargo, rustc, &sysroot)
        };
        current().or_else(system)
    }

    /// What the compiler with this sysroot is able to do: it has the target's standard library, or can build it.
    fn inspect(cargo: PathBuf, rustc: PathBuf, sysroot: &Path) -> Option<Self> {
        let libraries = sysroot.join("lib/rustlib");
        if libraries.join(TARGET).join("lib").is_dir() {
            return Some(Self { cargo, rustc, source: None, linker: None });
        }
        let source = libraries.join("src/rust");
        if !source.join("library/Cargo.toml").is_file() {
            return None;
        }
        let own = libraries.read_dir().ok()?.flatten().any(|host| host.path().join("bin/rust-lld").is_file());
        let linker = if own { None } else { Some(wasm_linker()?) };
        Some(Self { cargo, rustc, source: Some(source), linker })
    }

    /// A `cargo build` for [`TARGET`] in the folder `root`; packages, profile and folders are left to the caller.
    pub fn cargo_build(&self, root: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(root).args(["build", "--target", TARGET]);
        command.env("RUSTC", &self.rustc).env("CARGO_ENCODED_RUSTFLAGS", self.flags(root).join("\u{1f}"));
        // What the outer cargo and rustup set for themselves, and wrappers that may not know this compiler.
        let inherited =
            ["RUSTFLAGS", "CARGO", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"];
        inherited.into_iter().for_each(|name| _ = command.env_remove(name));
        if let Some(folder) = self.cargo.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // The system's cargo shall not call rustup's proxies.
            let path = std::env::var_os("PATH").unwrap_or_default();
            let paths = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
            command
                .env("PATH", std::env::join_paths(paths).unwrap_or(path.clone()))
                .env_remove("RUSTUP_TOOLCHAIN");
        }
        if self.source.is_some() {
            command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        }
        command
    }

    /// Flags of the compiler. Folders of this machine don't get into the plugins, so that digests say what they hold.
    fn flags(&self, root: &Path) -> Vec<String> {
        let home = || std::env::home_dir().unwrap_or_default().join(".cargo");
        let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
        let mut flags = vec![
            format!("--remap-path-prefix={}=", root.join("").display()),
            format!("--remap-path-prefix={}=cargo", cargo_home.display()),
        ];
        flags.extend(
            self.source.iter().map(|source| format!("--remap-path-prefix={}=rust", source.display())),
        );
        flags.extend(self.linker.iter().map(|linker| format!("-Clinker={}", linker.display())));
        flags
    }
}

/// Where a compiler has its libraries.
fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// A linker for WebAssembly on the search path; Debian adds the version to its name.
pub(crate) fn wasm_linker() -> Option<PathBuf> {
    let names = std::iter::once("wasm-ld".to_owned())
        .chain((17..30).rev().map(|version| format!("wasm-ld-{version}")));
    let path = std::env::var_os("PATH")?;
    names
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(&name)))
        .find(|file| file.is_file())
}

fn rustup() -> Command {
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]);
    command
}

/// The commands that install Debian's packages; none where that can't work.
fn debian() -> Vec<Command> {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || !Path::new("/usr/bin/apt-get").exists() {
        return Vec::new();
    }
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("/usr/bin/apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
        command
    };
    let install = ["install", "-y", "--no-install-recommends"];
    vec![apt_get(&["update"]), apt_get(&[&install[..], &DEBIAN_PACKAGES[..]].concat())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sysroot with the given files.
    fn sysroot_with(name: &str, files: &[&str]) -> PathBuf {
        let sysroot = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        for file in files {
            let file = sysroot.join("lib/rustlib").join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        sysroot
    }

    fn inspect(sysroot: &Path) -> Option<Toolchain> {
        let found = Toolchain::inspect("cargo".into(), "rustc".into(), sysroot);
        std::fs::remove_dir_all(sysroot).unwrap();
        found
    }

    #[test]
    fn an_installed_target_is_used_as_it_is() {
        let sysroot = sysroot_with(
            "installed",
            &["wasm32-unknown-unknown/lib/libstd.rlib", "src/rust/library/Cargo.toml"],
        );
        let toolchain = inspect(&sysroot).unwrap();
        assert_eq!(toolchain.source, None);
        assert_eq!(toolchain.linker, None);
    }

    #[test]
    fn a_compiler_with_the_source_of_its_library_and_a_linker_builds_it() {
        let sysroot =
            sysroot_with("source", &["src/rust/library/Cargo.toml", "x86_64-unknown-linux-gnu/bin/rust-lld"]);
        let toolchain = inspect(&sysroot).unwrap();
        assert_eq!(toolchain.source, Some(sysroot.join("lib/rustlib/src/rust")));
        assert_eq!(toolchain.linker, None);
    }

    #[test]
    fn a_compiler_without_target_and_source_is_no_use() {
        assert_eq!(inspect(&sysroot_with("neither", &["x86_64-unknown-linux-gnu/lib/libstd.rlib"])), None);
    }
}
