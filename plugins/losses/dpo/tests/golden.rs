//! Loss, metrics and gradients, against those of ms-swift.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

use plugin_dpo::Dpo;
use serde_json::Value;
use swift_plugin::testing::{ModelOutputs, PackedBatch, evaluate};

const GOLDEN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/losses/dpo.json"));

/// The rows of both matrices, end to end.
fn numbers(parent: &Value, names: [&str; 2]) -> Vec<f64> {
    let rows = names.iter().flat_map(|name| parent[name].as_array().unwrap());
    rows.flat_map(|row| row.as_array().unwrap()).map(|number| number.as_f64().unwrap()).collect()
}

fn assert_close(actual: f64, expected: f64, what: &str) {
    assert!(
        (actual - expected).abs() <= 1e-9 * expected.abs().max(1e-3),
        "{what}: {actual} is not {expected}"
    );
}

#[test]
fn the_sigmoid_loss_is_that_of_ms_swift() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let config = case["config"].as_object().unwrap();
        let known = ["loss_type", "beta", "label_smoothing"];
        if config["loss_type"] != "sigmoid" || config.keys().any(|name| !known.contains(&name.as_str())) {
            continue;
        }
        let number = |name: &str, default| config.get(name).map_or(default, |value| value.as_f64().unwrap());
        let defaults = Dpo::default();
        let dpo = Dpo {
            beta: number("beta", defaults.beta),
            label_smoothing: number("label_smoothing", defaults.label_smoothing),
        };
        let input = &golden["inputs"][case["input"].as_u64().unwrap() as usize];
        let mask = numbers(input, ["mask_chosen", "mask_rejected"]);
        let labels: Vec<i64> = mask.iter().map(|&mask| if mask == 0.0 { -100 } else { 1 }).collect();
        let batch = PackedBatch::new(&[12; 8]).labels(&labels);
        let policy =
            ModelOutputs::new(&numbers(input, ["policy_chosen", "policy_rejected"])).mean_logits(&mask);
        let reference = ModelOutputs::new(&numbers(input, ["ref_chosen", "ref_rejected"]));

        let evaluation = evaluate(&dpo, &batch, &policy, Some(&reference)).unwrap();
        assert_close(evaluation.loss, case["loss"].as_f64().unwrap(), "loss");
        for (name, expected) in case["metrics"].as_object().unwrap() {
            assert_close(evaluation.metric(name), expected.as_f64().unwrap(), name);
        }
        let gradient = numbers(case, ["grad_policy_chosen", "grad_policy_rejected"]);
        assert_eq!(evaluation.gradient("token_logps").len(), gradient.len());
        for (actual, expected) in evaluation.gradient("token_logps").iter().zip(gradient) {
            assert_close(*actual, expected, "gradient");
        }
        compared += 1;
    }
    assert_eq!(compared, 6);
}
