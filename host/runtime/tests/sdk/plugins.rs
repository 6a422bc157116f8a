//! Plugins in other languages, from the folder that `SWIFT_SDK_PLUGINS` names.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use swift_runtime::{Engine, EngineOptions, Limits, LossPlugin, LossReport, Plugin, Registry};

use crate::views::{Batch, Outputs};

pub(crate) fn plugin(name: &str) -> Plugin {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let folder = std::env::var("SWIFT_SDK_PLUGINS")
        .unwrap_or_else(|_| panic!("SWIFT_SDK_PLUGINS is not set to a folder with components of an SDK"));
    // An interpreter takes seconds to compile.
    let cache_directory = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/plugins").into());
    let registry = REGISTRY.get_or_init(|| {
        let options = EngineOptions { cache_directory, ..EngineOptions::default() };
        Registry::new(Engine::new(options).unwrap(), &[])
    });
    registry.resolve(&format!("{folder}/{name}.wasm")).unwrap()
}

pub(crate) fn arguments(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub(crate) fn loss(name: &str, value: &Value) -> LossPlugin {
    plugin(name).loss(&arguments(value), &Limits::default()).unwrap()
}

pub(crate) fn compute(loss: &mut LossPlugin) -> swift_runtime::Result<LossReport> {
    let outputs = || Arc::new(Outputs::default());
    loss.compute(Arc::new(Batch::default()), outputs(), Some(outputs()))
}

pub(crate) fn values(tensor: &swift_tensor::Tensor) -> Vec<f64> {
    tensor.to_list().unwrap()
}
