//! What the tests share: an engine, plugins made of text, and views that hold what a test puts in.

mod guest;
#[path = "../../views/mod.rs"]
mod views;
pub(crate) mod wasi;

use std::sync::{Arc, OnceLock};

use serde_json::Map;
use swift_runtime::{
    BatchView, Engine, EngineOptions, Error, Limits, LossPlugin, LossReport, Plugin, Registry, Result,
};

pub(crate) use guest::{Guest, SCALAR, address, encode, string};
pub(crate) use views::{Batch, Context, Outputs, Run, ones};

/// One engine for all tests, without a cache.
pub(crate) fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(EngineOptions::default()).unwrap()).clone()
}

/// Loads a file with these bytes.
pub(crate) fn load(wasm: &[u8]) -> Result<Plugin> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.wasm");
    std::fs::write(&path, wasm).unwrap();
    Registry::new(engine(), &[]).resolve(path.to_str().unwrap())
}

/// A loss whose `compute` is this WebAssembly text, with the given limits.
pub(crate) fn loss_with(compute: &str, limits: &Limits) -> LossPlugin {
    load(&Guest::loss(compute).encode()).unwrap().loss(&Map::new(), limits).unwrap()
}

/// A loss whose `compute` is this WebAssembly text.
pub(crate) fn loss(compute: &str) -> LossPlugin {
    loss_with(compute, &Limits::default())
}

/// Computes a loss for a batch of three tokens.
pub(crate) fn compute(loss: &mut LossPlugin) -> Result<LossReport> {
    compute_at(loss, 0)
}

/// The same at an optimiser step.
pub(crate) fn compute_at(loss: &mut LossPlugin, step: u64) -> Result<LossReport> {
    let batch: Arc<dyn BatchView> = Arc::new(Batch { step });
    loss.compute(batch, Arc::new(Outputs::default()), None)
}

/// The value of the loss.
pub(crate) fn value(report: &LossReport) -> f64 {
    report.loss.to_list().unwrap()[0]
}

/// The error's message, which must be one sentence without a full stop.
pub(crate) fn message<T>(result: Result<T>) -> String {
    let error = error(result);
    let text = error.to_string();
    assert!(!text.ends_with('.') && !text.contains('\n'), "{text:?}");
    text
}

pub(crate) fn error<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}
