//! A plugin that takes too much is stopped, and says of what.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swift_runtime::{Breach, Error, Limits};

use crate::support::{Batch, Outputs, SCALAR, compute, error, loss, loss_with, message, string, value};

fn breach(compute_text: &str, limits: &Limits) -> (Breach, String) {
    let error = error(compute(&mut loss_with(compute_text, limits)));
    let Error::Limit { breach, function: "compute", .. } = &error else { panic!("{error}") };
    (*breach, error.to_string())
}

#[test]
fn a_loop_that_does_not_end_is_stopped() {
    let call_time = Duration::from_millis(30);
    let start = Instant::now();
    let limits = Limits { call_time, ..Limits::default() };
    let mut loss = loss_with("(loop $for-ever (br $for-ever)) unreachable", &limits);
    for _ in 0..2 {
        let text = message(compute(&mut loss));
        assert_eq!(text, "The plugin `hostile` was stopped in `compute`: it ran for more than 0.03 seconds");
    }
    assert!(start.elapsed() >= 2 * call_time);
}

#[test]
fn the_hosts_time_is_not_the_plugins() {
    let call_time = Duration::from_millis(50);
    let mut loss = loss_with(
        "(call $report (call $sum (call $token-logps (local.get $policy))))",
        &Limits { call_time, ..Limits::default() },
    );
    let slow = move || {
        let start = Instant::now();
        while start.elapsed() < 4 * call_time {
            std::hint::spin_loop();
        }
        Ok(crate::support::ones(&[3]))
    };
    let outputs = Outputs { compute: Some(Arc::new(slow)), ..Outputs::default() };
    let report = loss.compute(Arc::new(Batch { step: 0 }), Arc::new(outputs), None).unwrap();
    assert_eq!(value(&report), 3.0);
}

#[test]
fn memory_has_an_end() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let (breach, text) =
        breach("(loop $more (drop (memory.grow (i32.const 1))) (br $more)) unreachable", &limits);
    assert_eq!(breach, Breach::Memory(1 << 20));
    assert!(text.ends_with("it asked for more than 1 MiB of memory"), "{text}");
}

#[test]
fn operations_have_an_end() {
    let limits = Limits { operations: 1000, ..Limits::default() };
    for operation in [
        "(call $tensor-drop (call $full (f64.const 1) (i32.const 0)))",
        "(call $tensor-drop (call $labels (local.get $batch)))",
    ] {
        let (breach, _) = breach(&format!("(loop $more {operation} (br $more)) unreachable"), &limits);
        assert_eq!(breach, Breach::Operations(1000));
    }
}

#[test]
fn tensors_have_an_end_and_the_plugin_is_told() {
    // A loop that keeps its tensors, until one is refused; then the text of the error is passed on.
    let text = "(loop $more
        (call $tensor-full (f64.const 1) (i32.const 384) (i32.const 2) (i32.const 1) (i32.const 256))
        (br_if $more (i32.eqz (i32.load8_u (i32.const 256)))))
      (call $fail (i32.load (i32.const 264)) (i32.load (i32.const 268)))";
    let mut loss = loss_with(text, &Limits { tensor_bytes: 1000, ..Limits::default() });
    for _ in 0..2 {
        let text = message(compute(&mut loss));
        assert!(text.contains("out of memory") && text.contains("1000 bytes"), "{text}");
        assert!(loss.usage().tensor_bytes <= 1000);
        assert_eq!(loss.usage().operations, 1000 / 24 + 1);
    }
}

#[test]
fn tensors_that_are_dropped_do_not_count() {
    let text = format!(
        "(local $i i32)
         (loop $more
           (call $tensor-drop (call $full (f64.const 1) (i32.const 2)))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $i) (i32.const 100))))
         {SCALAR}"
    );
    let mut loss = loss_with(&text, &Limits { tensor_bytes: 100, ..Limits::default() });
    compute(&mut loss).unwrap();
}

#[test]
fn an_impossible_tensor_is_refused_before_it_is_made() {
    let text = "(i64.store (i32.const 384) (i64.const 0x10000000000))
        (call $tensor-full (f64.const 1) (i32.const 384) (i32.const 1) (i32.const 1) (i32.const 256))
        (call $fail (i32.load (i32.const 264)) (i32.load (i32.const 268)))";
    let text = message(compute(&mut loss(text)));
    assert!(text.contains("out of memory in `full`: 1099511627776 elements"), "{text}");
}

#[test]
fn lists_have_an_end_in_both_directions() {
    let limits = Limits { list_elements: 5, ..Limits::default() };
    let fail = "(call $fail (i32.load (i32.const 264)) (i32.load (i32.const 268)))";
    let read =
        format!("(call $tensor-to-list (call $full (f64.const 1) (i32.const 2)) (i32.const 256)) {fail}");
    let make = format!(
        "(call $tensor-from-list (i32.const 0) (i32.const 6) (i32.const 384) (i32.const 2) (i32.const 1) (i32.const 256)) {fail}"
    );
    for text in [read, make] {
        let text = message(compute(&mut loss_with(&text, &limits)));
        assert!(text.ends_with("a list of 6 elements, and 5 are allowed"), "{text}");
    }
}

#[test]
fn what_is_handed_over_at_once_has_an_end() {
    let limits = Limits { copied_bytes: 10_000, ..Limits::default() };
    let (breach, _) =
        breach("(call $log (i32.const 2) (i32.const 0) (i32.const 20000)) unreachable", &limits);
    assert_eq!(breach, Breach::Copied(10_000));
}

#[test]
fn a_talkative_plugin_is_cut_short_and_goes_on() {
    let text = format!(
        "(local $i i32)
         (loop $more
           (call $log (i32.const 2) {})
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $i) (i32.const 100))))
         {SCALAR}",
        string("out of ideas")
    );
    compute(&mut loss_with(&text, &Limits { log_lines: 10, ..Limits::default() })).unwrap();
}
