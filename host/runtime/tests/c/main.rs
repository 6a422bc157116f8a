//! What the host makes of plugins written in C. `SWIFT_SDK_PLUGINS` names the folder of components that `cargo xtask c` makes of
//! the files in `sdk/c/tests`.

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

use std::sync::Arc;

use plugins::{arguments, compute, loss, plugin, values};
use serde_json::json;
use swift_runtime::{Completion, Input, Limits, Requirements, TrainedParts};
use views::{Batch, Outputs};

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

#[test]
fn a_metric_looks_at_all_batches_and_forgets_them() {
    let start = |fails| {
        plugin("counting").metric(&arguments(&json!({ "fails": fails })), &Limits::default()).unwrap()
    };
    let mut metric = start(false);
    let observe = |metric: &mut swift_runtime::MetricPlugin| {
        metric.observe(Arc::new(Batch::default()), Arc::new(Outputs::default()))
    };
    for batches in [2, 1] {
        for _ in 0..batches {
            observe(&mut metric).unwrap();
        }
        let batches = f64::from(batches);
        let expected = [("seen".to_owned(), -6.0 * batches), ("batches".to_owned(), batches)];
        assert_eq!(metric.finish().unwrap(), expected);
    }
    let error = metric.finish().unwrap_err().to_string();
    assert!(error.contains("there are no batches"), "{error}");
    let error = observe(&mut start(true)).unwrap_err().to_string();
    assert!(error.contains("shape mismatch in `add`"), "{error}");
}

#[test]
fn a_reward_judges_the_answers_that_it_applies_to() {
    let completion = |text: &str, finished, solution: Option<&str>| Completion {
        messages_json: "[]".into(),
        text: text.into(),
        token_ids: vec![1, 2],
        finished,
        columns: solution.map(|json| ("solution".to_owned(), json.to_owned())).into_iter().collect(),
    };
    let mut reward =
        plugin("solved").reward(&arguments(&json!({ "worth": 0.5 })), &Limits::default()).unwrap();
    let answers = [
        completion("it is 42", true, Some("42")),
        completion("it is 7", true, Some("\"42\"")),
        completion("it is 42", false, Some("42")),
        completion("say \"\u{e9}\u{1f600}\"\n", true, Some(r#""\"\u00e9\ud83d\ude00\"\n""#)),
        completion("\u{e9}", true, Some("\"\u{e9}\"")),
    ];
    for _ in 0..2 {
        assert_eq!(reward.score(&answers).unwrap(), [Some(0.5), Some(0.0), None, Some(0.5), Some(0.5)]);
    }
    let error = reward.score(&[completion("", true, None)]).unwrap_err().to_string();
    assert!(error.contains("there is no solution"), "{error}");
    assert_eq!(reward.score(&[]).unwrap(), []);
}

#[test]
fn a_schedule_says_how_the_learning_rate_changes() {
    let mut schedule = plugin("falling").schedule(&arguments(&json!({})), &Limits::default()).unwrap();
    let mut factor = |step| schedule.factor(step, 4);
    assert_eq!([0, 1, 4].map(|step| factor(step).unwrap()), [1.0, 0.75, 0.0]);
    let error = factor(5).unwrap_err().to_string();
    assert!(error.contains("the run is over"), "{error}");
    assert_eq!(factor(2).unwrap(), 0.5);
}
