//! The worked example of every SDK, a focal loss, run by the host beside its sibling in Rust, `tests/plugins/focal`, which
//! `cargo xtask plugins` makes. `SWIFT_SDK_PLUGINS` names the folder with the `focal.wasm` of another language.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

mod plugins;
#[path = "../views/mod.rs"]
mod views;

use plugins::{arguments, compute, loss, plugin, values};
use serde_json::{Map, json};
use swift_runtime::{Engine, EngineOptions, Kind, Limits, LossPlugin, LossReport, Registry, Requirements};
use swift_tensor::{GradientSink, ParameterId};

/// The gradient of a loss by the log-probabilities.
fn gradient(report: &LossReport) -> Vec<f64> {
    struct Sink(Vec<f64>);
    impl GradientSink for Sink {
        fn accumulate(&mut self, _: ParameterId, gradient: &swift_tensor::Value) -> swift_tensor::Result<()> {
            self.0 = gradient.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
            Ok(())
        }
    }
    let mut sink = Sink(Vec::new());
    swift_tensor::backward(&report.loss, &mut sink).unwrap();
    sink.0
}

fn focal_in_rust() -> LossPlugin {
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/../plugins/focal.wasm");
    let registry = Registry::new(Engine::new(EngineOptions::default()).unwrap(), &[]);
    registry.resolve(path).unwrap().loss(&arguments(&json!({ "gamma": 1.5 })), &Limits::default()).unwrap()
}

#[test]
fn the_example_describes_itself_and_imports_the_contract_and_wasi_alone() {
    let focal = plugin("focal");
    assert_eq!(focal.kinds(), [Kind::Loss]);
    let info = focal.info();
    assert_eq!((info.name.as_str(), info.version.as_str()), ("focal", "0.1.0"));
    assert_eq!(info.summary, "Focal loss over tokens (Lin et al. 2017).");
    let gamma = &info.parameters[0];
    let summary = "How much well-predicted tokens are held back; 0 is cross-entropy.";
    assert_eq!((gamma.name.as_str(), gamma.summary.as_str()), ("gamma", summary));
    assert_eq!(gamma.default.as_f64(), Some(2.0));
    for import in focal.imports() {
        let is_known =
            import.starts_with("swift:plugin/") || import.starts_with("wasi:") && import.contains("@0.2.");
        assert!(is_known, "{import}");
    }
}

#[test]
fn the_example_and_its_sibling_in_rust_are_the_same_to_the_last_bit() {
    let (mut other, mut rust) = (loss("focal", &json!({ "gamma": 1.5 })), focal_in_rust());
    assert_eq!(other.requirements(), Requirements::default());
    let (first, second) = (compute(&mut other).unwrap(), compute(&mut rust).unwrap());
    assert_eq!(values(&first.loss), values(&second.loss));
    let shown = |report: &LossReport| -> Vec<_> {
        let metrics = report.metrics.iter();
        metrics
            .map(|metric| {
                (metric.name.clone(), values(&metric.values), values(metric.weights.as_ref().unwrap()))
            })
            .collect()
    };
    assert_eq!(shown(&first), shown(&second));
    let slopes = gradient(&first);
    assert!(slopes[0] < 0.0 && slopes[2] == 0.0, "{slopes:?}");
    assert_eq!(slopes, gradient(&second));
}

#[test]
fn the_example_follows_its_formula_each_time() {
    let share = |logp: f64, weight: f64| -weight * (1.0 - logp.exp()).powi(2) * logp;
    let expected = (share(-1.0, 1.0) + share(-2.0, 0.5)) / 6.0;
    let mut focal = loss("focal", &json!({}));
    for _ in 0..3 {
        let report = compute(&mut focal).unwrap();
        assert!((values(&report.loss)[0] - expected).abs() < 1e-6, "{report:?}");
    }
}

#[test]
fn a_gamma_out_of_bounds_is_told_to_the_user_before_the_run() {
    let made = plugin("focal").loss(&arguments(&json!({ "gamma": -1.0 })), &Limits::default());
    let message = match made {
        Err(refused) => refused.to_string(),
        Ok(mut focal) => compute(&mut focal).unwrap_err().to_string(),
    };
    assert!(message.contains("`gamma` is -1") && message.contains("must be at least 0"), "{message}");
    assert!(plugin("focal").loss(&Map::new(), &Limits::default()).is_ok());
}
