//! What is wrong with a plugin is found.

use serde_json::json;
use swift_check::{Golden, Options, Outcome, Report, check};

use crate::guest::{Guest, SCALAR, string};
use crate::{checked, only, plugin, registry, texts};

/// The report of a loss whose `compute` is this WebAssembly text.
fn report(compute: &str) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.wasm");
    std::fs::write(&path, Guest::loss(compute).encode()).unwrap();
    check(&registry().resolve(path.to_str().unwrap()).unwrap(), &Options::default())
}

/// The sum of the log-probabilities, and what else a call does.
fn sum_and(text: &str) -> Report {
    report(&format!("{text} (call $report (call $sum (call $token-logps (local.get $policy))))"))
}

/// The sum of a tensor that is made of the values of another.
const READ_VALUES: &str = "
    (call $tensor-to-list (call $token-logps (local.get $policy)) (i32.const 256))
    (i64.store (i32.const 400) (i64.extend_i32_u (i32.load (i32.const 264))))
    (call $tensor-from-list (i32.load (i32.const 260)) (i32.load (i32.const 264))
        (i32.const 400) (i32.const 1) (i32.const 0) (i32.const 256))
    (call $report (call $sum (call $handle)))";

#[test]
fn a_loss_that_reads_values_and_builds_a_tensor_of_them_has_a_wrong_gradient() {
    let report = report(READ_VALUES);
    let [one, several] = texts(&report, Outcome::Failed)[..] else { panic!("{report}") };
    assert!(one.starts_with("One row: the gradient by `token_logps` is not that of finite"), "{one}");
    assert!(one.ends_with("it is 0.000000e0, and the difference 1.000000e0"), "{one}");
    assert!(several.starts_with("Several ragged rows: the gradient by `token_logps`"), "{several}");
    assert!(report.to_string().contains("hint: no gradient flows through values that were read"), "{report}");
}

#[test]
fn a_loss_that_is_not_finite_is_told_by_which_operation() {
    let report = report(
        "(call $tensor-log (call $sum (call $token-logps (local.get $policy))) (i32.const 256))
         (call $report (call $handle))",
    );
    let [one, several] = texts(&report, Outcome::Failed)[..] else { panic!("{report}") };
    assert_eq!(one, "One row: the loss is not finite");
    assert_eq!(several, "Several ragged rows: the loss is not finite");
    assert!(report.findings[0].hint.as_ref().unwrap().contains("`log`"), "{report}");
}

#[test]
fn a_loss_that_remembers_what_it_does_not_save_is_found() {
    let report = report(
        "(global.set $kept (i32.add (global.get $kept) (i32.const 1)))
         (call $report (call $add
            (call $full (f64.convert_i32_u (global.get $kept)) (i32.const 0))
            (call $sum (call $token-logps (local.get $policy)))))",
    );
    let failed = only(&report, Outcome::Failed);
    assert!(failed.text.starts_with("A loss that goes on from its saved state gives another"), "{report}");
}

#[test]
fn handles_that_are_left_are_counted_and_handles_that_are_kept_are_wrong() {
    let left = sum_and("(drop (call $full (f64.const 2) (i32.const 2)))");
    assert_eq!(left.count(Outcome::Failed), 0, "{left}");
    // The loss is made of one more.
    assert_eq!(only(&left, Outcome::Noted).text, "2 handles are left when a call ends");
    let kept = sum_and(
        "(if (i32.eqz (global.get $kept))
           (then (global.set $kept (call $full (f64.const 7) (i32.const 1))))
           (else (drop (call $add (global.get $kept) (global.get $kept)))))",
    );
    let failed = only(&kept, Outcome::Failed);
    assert!(failed.text.contains("it used a tensor of an earlier call"), "{kept}");
}

#[test]
fn a_loss_without_the_model_is_found() {
    let report = report(SCALAR);
    let failed = texts(&report, Outcome::Failed);
    assert!(failed.contains(&"One row: the loss depends on no output of the model"), "{report}");
}

#[test]
fn what_a_loss_says_of_its_failure_is_a_finding() {
    let report = report(&format!("(call $fail {})", string("out of ideas")));
    let failed = only(&report, Outcome::Failed);
    assert_eq!(failed.text, "The plugin `hostile` failed in `compute`: out of ideas");
    assert!(failed.hint.is_some());
}

#[test]
fn a_loss_that_holds_something_constant_has_the_gradient_of_what_it_does_not() {
    let report = checked("sft", json!({"enable_dft_loss": true}));
    assert_eq!((report.count(Outcome::Failed), report.count(Outcome::Noted)), (0, 0), "{report}");
    let passed = texts(&report, Outcome::Passed);
    let right = "Several ragged rows: the gradient by `token_logps` is that of finite differences";
    assert!(passed.contains(&right), "{report}");
}

#[test]
fn a_wrong_gradient_is_wrong_whatever_else_is_detached() {
    let detach = "(call $tensor-detach (call $token-logps (local.get $policy)) (i32.const 256))";
    let report = report(&format!("{detach} (drop (call $handle)) {READ_VALUES}"));
    let failed = texts(&report, Outcome::Failed);
    assert!(
        failed[0].starts_with("One row: the gradient by `token_logps` is not that of finite"),
        "{report}"
    );
    assert!(report.to_string().contains("hint: no gradient flows through values that were read"), "{report}");
}

#[test]
fn a_loss_of_pairs_is_checked_with_pairs() {
    let report = checked("embedding", json!({"loss_type": "contrastive"}));
    assert_eq!(report.count(Outcome::Failed), 0, "{report}");
    assert_eq!(only(&report, Outcome::Noted).text, "Takes rows of two texts and not longer ones");
}

#[test]
fn an_argument_that_the_plugin_refuses_is_a_finding() {
    let report = checked("dpo", json!({"loss_type": ["none"]}));
    assert_eq!(report.count(Outcome::Failed), 1, "{report}");
}

#[test]
fn golden_values_are_met_or_named() {
    let dpo = plugin("dpo");
    let measured = check(&dpo, &Options::default()).measured;
    assert_eq!(measured.loss.len(), 2);
    let check = |golden: Golden| check(&dpo, &Options { golden: Some(golden), ..Options::default() });
    let met = check(measured.clone());
    assert!(texts(&met, Outcome::Passed).contains(&"The golden values are met"), "{met}");
    let mut other = measured;
    other.loss[1] += 1e-6;
    let missed = check(other);
    assert!(only(&missed, Outcome::Failed).text.starts_with("The loss is ["), "{missed}");
}
