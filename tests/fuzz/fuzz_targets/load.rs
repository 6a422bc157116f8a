//! Whatever a file holds, loading it as a plugin gives a plugin or an error.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use swift_runtime::{Engine, EngineOptions, Limits, Registry};
use tempfile::TempDir;

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    // Mutated code may loop; it is stopped early to see more of it.
    let loading = Limits {
        call_time: Duration::from_millis(200),
        memory_bytes: 64 << 20,
        tensor_bytes: 64 << 20,
        ..Limits::default()
    };
    let engine = Engine::new(EngineOptions { loading, ..EngineOptions::default() });
    Registry::new(engine.expect("the engine starts"), &[])
});

static FOLDER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let path = folder.path().join("fuzzed.wasm");
    (folder, path)
});

fuzz_target!(|bytes: &[u8]| {
    let (_, path) = &*FOLDER;
    std::fs::write(path, bytes).expect("the file can be written");
    match REGISTRY.resolve(&path.to_string_lossy()) {
        Ok(plugin) => _ = (plugin.wants(), format!("{plugin:?}")),
        Err(error) => _ = (error.to_string(), error.hint()),
    }
});
