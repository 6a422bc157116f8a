//! The standard plugins as components, run by the host.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

mod callbacks;
mod datasets;
#[path = "../golden/mod.rs"]
mod golden;
mod losses;
mod models;
mod templates;
mod views;

use swift_runtime::{Engine, EngineOptions, Kind, Plugin, Registry};
use swift_standard_plugins::STANDARD;

fn registry() -> Registry {
    let cache_directory = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/plugins").into());
    Registry::new(
        Engine::new(EngineOptions { cache_directory, ..EngineOptions::default() }).unwrap(),
        STANDARD,
    )
}

fn plugin(name: &str) -> Plugin {
    registry().resolve(name).unwrap()
}

#[test]
fn every_plugin_describes_itself_and_imports_only_what_it_uses() {
    let registry = registry();
    for (name, _) in STANDARD {
        let plugin = registry.resolve(name).unwrap();
        assert_eq!(plugin.info().name, *name);
        assert!(plugin.info().summary.ends_with('.'), "{}", plugin.info().summary);
        let interfaces: &[&str] = match plugin.kinds() {
            [Kind::Loss] => &["batch-view", "log", "tensor"],
            [Kind::Model] => &["log", "nn", "tensor"],
            [Kind::Callback] => &["log", "run-view"],
            [Kind::Dataset | Kind::Template] => &["conversation", "log"],
            [Kind::Metric] => &["batch-view", "log", "tensor"],
            [Kind::Optimizer] => &["log", "tensor"],
            [Kind::Schedule | Kind::Reward | Kind::LossScale | Kind::ToolParser] => &["log"],
            [Kind::Sampler] => &["generation-view", "log", "tensor"],
            kinds => panic!("{name} is {kinds:?}"),
        };
        let mut imports = plugin.imports().to_vec();
        imports.sort();
        let expected: Vec<String> =
            interfaces.iter().map(|name| format!("swift:plugin/{name}@0.1.0")).collect();
        assert_eq!(imports, expected, "{name}");
    }
}

#[test]
fn parameters_have_types_and_defaults() {
    let shown = |name: &str| -> Vec<String> {
        let plugin = plugin(name);
        let parameters = plugin.info().parameters.iter();
        parameters.map(|parameter| format!("{}={}", parameter.name, parameter.default)).collect()
    };
    assert_eq!(
        shown("kto"),
        ["beta=0.1", "loss_type=\"kto\"", "desirable_weight=1.0", "undesirable_weight=1.0"]
    );
    assert_eq!(shown("dpo")[1..3], ["loss_type=[\"sigmoid\"]", "loss_weights=null"]);
    assert_eq!(
        shown("early-stopping"),
        ["patience=3", "metric=\"eval_loss\"", "min_delta=0.0", "greater_is_better=false"]
    );
    assert_eq!(shown("sft"), ["enable_dft_loss=false"]);
    assert_eq!(shown("pt"), [""; 0]);
}
