//! What the host makes of a plugin written in C. `SWIFT_SDK_PLUGINS` names the folder of `mistakes.wasm`, which `cargo xtask c`
//! makes of the file of that name in `sdk/c/tests`.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

#[path = "../sdk/plugins.rs"]
mod plugins;
#[path = "../views/mod.rs"]
mod views;

use plugins::{compute, loss, plugin, values};
use serde_json::json;
use swift_runtime::{Input, Requirements, TrainedParts};

#[test]
fn a_loss_has_requirements_a_value_metrics_and_a_gradient() {
    let info = plugin("mistakes").info().clone();
    assert_eq!((info.name.as_str(), info.version.as_str()), ("mistakes", "1.2.3"));
    let mut loss = loss("mistakes", &json!({ "halves": true }));
    let requirements = Requirements {
        input: Input::Groups,
        trained_parts: TrainedParts::LastRound,
        reference: true,
        score_head: Some(3),
        ..Requirements::default()
    };
    assert_eq!(loss.requirements(), requirements);
    for _ in 0..3 {
        let report = compute(&mut loss).unwrap();
        assert_eq!(values(&report.loss), [-1.0]);
        assert!(report.loss.requires_grad());
        let shown: Vec<_> =
            report.metrics.iter().map(|metric| (metric.name.as_str(), values(&metric.values))).collect();
        let expected = [
            ("joined", vec![-1.0, -2.0, -3.0, 1.0, 2.0, 3.0]),
            ("stacked", vec![0.0, 0.0, 0.0]),
            ("sums", vec![-3.0, -3.0]),
            ("large", vec![1.0, 0.0, 0.0]),
            ("vocab", vec![4.0]),
            ("drawn", vec![2.0, 2.0]),
            ("number", vec![-6.0; 3]),
        ];
        assert_eq!(shown, expected);
        assert_eq!(values(report.metrics[6].weights.as_ref().unwrap()), [1.0; 3]);
        assert_eq!(loss.usage().left_handles, 0);
    }
}

#[test]
fn an_error_reaches_the_user_and_the_next_call_goes_on() {
    let expected = [
        (1, "shape mismatch in `add`"),
        (2, "this is not to be had"),
        (3, "the outputs of the teacher model are missing"),
        (4, "a tensor that has not one element is no number"),
    ];
    for (mode, words) in expected {
        let mut loss = loss("mistakes", &json!({ "mode": mode }));
        let first = compute(&mut loss).unwrap_err().to_string();
        assert!(first.contains(words), "{first}");
        assert_eq!(compute(&mut loss).unwrap_err().to_string(), first);
        assert_eq!(loss.usage().left_handles, 0);
    }
}
