//! What those who watch are told.

use std::sync::{Arc, Mutex};

use serde_json::Map;
use swift_runtime::{Engine, EngineOptions, Limits, Operation, Plugin, Registry, Trace};

use crate::support::{Guest, compute, load};

/// Remembers what it was told, a line each.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<String>>);

impl Trace for Recorder {
    fn operation(&self, plugin: &str, operation: &Operation) {
        let Operation { function, name, inputs, output, .. } = operation;
        let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        let output = match output {
            Ok(Some(output)) => output.to_string(),
            Ok(None) => "nothing".into(),
            Err(error) => error.clone(),
        };
        let line = format!("{plugin} {function} {name}({}) -> {output}", inputs.join(", "));
        self.0.lock().unwrap().push(line);
    }
}

impl Recorder {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn loss(compute: &str) -> Plugin {
    load(&Guest::loss(compute).encode()).unwrap()
}

#[test]
fn each_operation_is_reported_in_order_with_shapes() {
    let recorder = Arc::new(Recorder::default());
    let text = "(drop (call $labels (local.get $batch)))
         (call $tensor-to-list (call $full (f64.const 1) (i32.const 2)) (i32.const 256))
         (call $report (call $add
            (call $sum (call $token-logps (local.get $policy)))
            (call $full (f64.const 1) (i32.const 0))))";
    let plugin = loss(text).with_trace(recorder.clone());
    compute(&mut plugin.loss(&Map::new(), &Limits::default()).unwrap()).unwrap();
    assert_eq!(
        recorder.lines(),
        [
            "hostile compute batch.labels() -> i64[3]",
            "hostile compute full() -> f32[2, 3]",
            "hostile compute to-list(f32[2, 3]) -> nothing",
            "hostile compute outputs.token-logps() -> f32[3]",
            "hostile compute sum(f32[3]) -> f32[]",
            "hostile compute full() -> f32[]",
            "hostile compute add(f32[], f32[]) -> f32[]",
        ]
    );
}

#[test]
fn an_operation_that_fails_is_reported_with_its_error() {
    let recorder = Arc::new(Recorder::default());
    let text = "(call $report (call $add
        (call $full (f64.const 1) (i32.const 1)) (call $full (f64.const 1) (i32.const 2))))";
    let plugin = loss(text).with_trace(recorder.clone());
    compute(&mut plugin.loss(&Map::new(), &Limits::default()).unwrap()).unwrap_err();
    let last = recorder.lines().pop().unwrap();
    assert_eq!(
        last,
        "hostile compute add(f32[2], f32[2, 3]) -> shape mismatch in `add`: lhs [2], rhs [2, 3]"
    );
}

#[test]
fn an_engine_tells_of_all_its_plugins() {
    let recorder = Arc::new(Recorder::default());
    let options = EngineOptions { trace: Some(recorder.clone()), ..EngineOptions::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.wasm");
    std::fs::write(&path, Guest::loss(crate::support::SCALAR).encode()).unwrap();
    let registry = Registry::new(Engine::new(options).unwrap(), &[]);
    let plugin = registry.resolve(path.to_str().unwrap()).unwrap();
    compute(&mut plugin.loss(&Map::new(), &Limits::default()).unwrap()).unwrap();
    assert_eq!(recorder.lines(), ["hostile compute full() -> f32[]"]);
}
