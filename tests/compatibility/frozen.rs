//! The components that are kept, and what they are asked.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use swift_runtime::{Engine, EngineOptions, Error, Origin, Plugin, Registry, Result};
use swift_tensor::{DType, Tensor, from_list};

/// The folder of what was built for a version of the contract.
pub(crate) fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compatibility").join(version)
}

/// The bytes of a component that was built for contract 0.1.0.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder("0.1.0").join(name).with_extension("wasm")).unwrap()
}

pub(crate) fn load(wasm: &[u8], name: &str) -> Result<Plugin> {
    let registry = Registry::new(Engine::new(EngineOptions::default()).unwrap(), &[]);
    registry.load(wasm, name, Origin::File(name.into()))
}

pub(crate) fn plugin(name: &str) -> Plugin {
    load(&bytes(name), name).unwrap()
}

pub(crate) fn arguments(json: Value) -> Map<String, Value> {
    json.as_object().unwrap().clone()
}

/// The message of an error, which must be one sentence without a full stop.
pub(crate) fn message<T>(result: Result<T>) -> String {
    let text = error(result).to_string();
    assert!(!text.ends_with('.') && !text.contains('\n'), "{text:?}");
    text
}

pub(crate) fn error<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}

pub(crate) fn vector(values: &[f64]) -> Tensor {
    tensor(values, &[values.len() as u64])
}

pub(crate) fn tensor(values: &[f64], shape: &[u64]) -> Tensor {
    from_list(values, shape, DType::F32).unwrap()
}

/// `float32` against a formula in `float64`; what is not a number, or infinite, is so on both sides.
pub(crate) fn assert_near(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}: {got:?} and not {expected:?}");
    for (g, e) in got.iter().zip(expected) {
        let near = g == e || (g.is_nan() && e.is_nan()) || (g - e).abs() <= 2e-6 * e.abs().max(1.0);
        assert!(near, "{what}: {got:?} and not {expected:?}");
    }
}
