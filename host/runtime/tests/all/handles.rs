//! What becomes of handles, and what a loss may give.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Map;
use swift_runtime::{Error, Limits};
use swift_tensor::check_finite;

use crate::support::{
    Batch, Context, Guest, Outputs, SCALAR, address, compute, compute_at, error, load, loss, message, ones,
    string, value,
};

#[test]
fn a_loss_computes_with_what_the_host_shows_it() {
    let mut loss = loss("(call $report (call $sum (call $token-logps (local.get $policy))))");
    let outputs = Outputs::default();
    let report = loss.compute(Arc::new(Batch { step: 0 }), Arc::new(outputs.clone()), None).unwrap();
    assert_eq!(value(&report), -6.0);
    assert_eq!(outputs.asked.load(Ordering::Relaxed), 1);
    let requirements = loss.requirements();
    assert!(!requirements.reference && requirements.disable_dropout);
}

#[test]
fn a_reference_is_lent_too() {
    let mut loss = loss(SCALAR);
    let (policy, reference) = (Arc::new(Outputs::default()), Arc::new(Outputs::default()));
    let report = loss.compute(Arc::new(Batch { step: 0 }), policy, Some(reference)).unwrap();
    assert_eq!(value(&report), 1.0);
}

#[test]
fn metrics_come_with_the_loss() {
    // The metric `rewards/margin` of the batch's labels, without weights.
    let text = format!(
        "(i32.store (i32.const 640) (i32.const {}))
         (i32.store (i32.const 644) (i32.const 14))
         (i32.store (i32.const 648) (call $labels (local.get $batch)))
         (i32.store (i32.const 652) (i32.const 0))
         {SCALAR}
         (i32.store (i32.const 328) (i32.const 640))
         (i32.store (i32.const 332) (i32.const 1))",
        address("rewards/margin")
    );
    let report = compute(&mut loss(&text)).unwrap();
    let [metric] = report.metrics.as_slice() else { panic!("{report:?}") };
    assert_eq!(metric.name, "rewards/margin");
    assert_eq!(metric.values.to_list().unwrap(), [0.0, 1.0, 2.0]);
    assert!(metric.weights.is_none());
}

#[test]
fn what_a_call_leaves_behind_is_released() {
    // Three tensors: one is the result, one is dropped, one is left.
    let mut loss = loss(
        "(call $tensor-drop (call $full (f64.const 2) (i32.const 2)))
         (drop (call $full (f64.const 2) (i32.const 2)))
         (call $report (call $full (f64.const 1) (i32.const 0)))",
    );
    for _ in 0..3 {
        compute(&mut loss).unwrap();
        let usage = loss.usage();
        assert_eq!((usage.operations, usage.left_handles), (3, 1));
        assert_eq!(usage.tensor_bytes, 24 + 4, "the first was dropped before the second was made");
    }
}

#[test]
fn a_handle_of_an_earlier_call_is_noticed() {
    // The first call keeps a handle, and later ones use it.
    let mut loss = loss(
        "(if (i32.eqz (global.get $kept))
           (then (global.set $kept (call $full (f64.const 7) (i32.const 1))))
           (else (drop (call $add (global.get $kept) (global.get $kept)))))
         (call $report (call $full (f64.const 1) (i32.const 0)))",
    );
    compute(&mut loss).unwrap();
    let text = message(compute(&mut loss));
    let start = "The plugin `hostile` crashed in `compute`: it used a tensor of an earlier call";
    assert!(text.starts_with(start), "{text}");
    compute(&mut loss).unwrap();
}

#[test]
fn a_kept_handle_can_not_be_given_back_either() {
    let mut loss = loss(
        "(if (i32.eqz (global.get $kept))
           (then (global.set $kept (call $full (f64.const 7) (i32.const 0)))))
         (call $report (global.get $kept))",
    );
    // The first call gives its handle away, so that it is no more the plugin's own in the second.
    assert_eq!(value(&compute(&mut loss).unwrap()), 7.0);
    assert!(matches!(error(compute(&mut loss)), Error::Crash { function: "compute", .. }));
    assert_eq!(value(&compute(&mut loss).unwrap()), 7.0);
}

#[test]
fn weights_that_do_not_fit_their_metric_are_refused() {
    // A metric without a name, of three values with a scalar weight.
    let text = format!(
        "(i32.store (i32.const 640) (i32.const 0))
         (i32.store (i32.const 644) (i32.const 0))
         (i32.store (i32.const 648) (call $labels (local.get $batch)))
         (i32.store (i32.const 652) (i32.const 1))
         (i32.store (i32.const 656) (call $full (f64.const 1) (i32.const 0)))
         {SCALAR}
         (i32.store (i32.const 328) (i32.const 640))
         (i32.store (i32.const 332) (i32.const 1))"
    );
    let text = message(compute(&mut loss(&text)));
    assert!(text.ends_with("the weights of `` have the shape [], and its values [3]"), "{text}");
}

#[test]
fn a_loss_that_is_no_scalar_is_refused_and_may_try_again() {
    let mut loss = loss("(call $report (call $token-logps (local.get $policy)))");
    for _ in 0..2 {
        let text = message(compute(&mut loss));
        let end = "gave a wrong result from `compute`: a loss is a scalar, and its shape is [3]";
        assert!(text.ends_with(end), "{text}");
    }
}

#[test]
fn an_error_of_the_plugin_is_passed_on_in_its_own_words() {
    let mut loss = loss(&format!("(call $fail {})", string("out of ideas")));
    assert_eq!(message(compute(&mut loss)), "The plugin `hostile` failed in `compute`: out of ideas");
}

#[test]
fn a_failed_operation_is_told_to_the_plugin_which_may_go_on() {
    // [2] + [2, 3] do not broadcast: the result is an error, and its text is passed on.
    let mut loss = loss(
        "(call $tensor-add (call $full (f64.const 1) (i32.const 1)) (call $full (f64.const 1) (i32.const 2)) (i32.const 256))
         (if (i32.ne (i32.load8_u (i32.const 256)) (i32.const 1)) (then unreachable))
         (if (i32.ne (i32.load8_u (i32.const 260)) (i32.const 0)) (then unreachable))
         (call $fail (i32.load (i32.const 264)) (i32.load (i32.const 268)))",
    );
    let text = message(compute(&mut loss));
    assert_eq!(
        text,
        "The plugin `hostile` failed in `compute`: shape mismatch in `add`: lhs [2], rhs [2, 3]"
    );
}

#[test]
fn the_first_operation_that_is_not_finite_is_found_behind_a_plugin() {
    // log(0), which the plugin notices nothing of unless the host looks for it.
    let mut loss = loss(
        "(call $tensor-log (call $full (f64.const 0) (i32.const 0)) (i32.const 256))
         (call $report (call $handle))",
    );
    assert_eq!(value(&compute(&mut loss).unwrap()), f64::NEG_INFINITY);
    let error = error(check_finite(|| compute(&mut loss)));
    assert!(matches!(error, Error::Tensor { function: "compute", .. }), "{error}");
    assert!(matches!(error.into(), swift_tensor::Error::NonFinite { op: "log", .. }));
    compute(&mut loss).unwrap();
}

#[test]
fn random_tensors_repeat_with_the_run_and_differ_within_it() {
    let uniform = "(call $tensor-uniform (f64.const 0) (f64.const 1) (i32.const 384) (i32.const 0) (i32.const 0) (i32.const 256))";
    let compute_text =
        format!("{uniform} (call $handle) {uniform} (call $handle) (call $add) (call $report)");
    let plugin = load(&Guest::loss(&compute_text).encode()).unwrap();
    let values = |seed: u64, steps: &[u64]| -> Vec<f64> {
        let mut loss = plugin.loss(&Map::new(), &Limits { seed, ..Limits::default() }).unwrap();
        steps.iter().map(|&step| value(&compute_at(&mut loss, step).unwrap())).collect()
    };
    let run = values(1, &[0, 0, 1, 1, 2]);
    let mut distinct = run.clone();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    assert_eq!(distinct.len(), run.len(), "{run:?}");
    assert_eq!(run, values(1, &[0, 0, 1, 1, 2]));
    assert_eq!(run[2..], values(1, &[1, 1, 2]), "a run that is resumed at step 1");
    assert_ne!(run[0], values(2, &[0])[0]);
}

#[test]
fn a_model_has_no_random_tensors() {
    let forward = "(call $tensor-uniform (f64.const 0) (f64.const 1) (i32.const 384) (i32.const 2) (i32.const 1) (i32.const 256))
        (i32.store (i32.const 320) (i32.const 1))
        (i32.store (i32.const 324) (i32.load (i32.const 260)))
        (i32.store (i32.const 328) (i32.load (i32.const 264)))
        (i32.store (i32.const 332) (i32.load (i32.const 268)))
        (i32.const 320)";
    let plugin = load(&Guest::model("unreachable", forward).encode()).unwrap();
    let mut model = plugin.model(&Limits::default()).unwrap();
    let text = message(model.forward(1, Some(&ones(&[3, 2])), Arc::new(Context)));
    assert!(
        text.ends_with("random tensors exist only while a loss is computed or a token is chosen"),
        "{text}"
    );
}
