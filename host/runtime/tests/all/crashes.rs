//! What becomes of a plugin that crashes, and of the others.

use std::sync::Arc;

use serde_json::Map;
use swift_runtime::{Error, Limits, LossPlugin};

use crate::support::{
    Batch, Context, Guest, Outputs, SCALAR, compute, error, load, loss, message, string, value,
};

/// Counts its calls, and crashes in the second.
fn second_crashes() -> String {
    format!(
        "(if (global.get $kept) (then unreachable))
         (global.set $kept (i32.const 1))
         {SCALAR}"
    )
}

#[test]
fn a_trap_names_the_plugin_and_the_function() {
    let text = message(compute(&mut loss("unreachable")));
    assert!(text.starts_with("The plugin `hostile` crashed in `compute`: "), "{text}");
    assert!(text.contains("unreachable"), "{text}");
}

#[test]
fn the_message_of_a_panic_reaches_the_user() {
    let text = format!("(call $panicked {}) unreachable", string("boom at lib.rs:1"));
    assert_eq!(
        message(compute(&mut loss(&text))),
        "The plugin `hostile` crashed in `compute`: boom at lib.rs:1"
    );
}

#[test]
fn the_panic_of_an_earlier_call_is_not_reported_again() {
    let text = format!(
        "(if (i32.eqz (global.get $kept)) (then (global.set $kept (i32.const 1)) (call $panicked {}) {SCALAR} return))
         unreachable",
        string("boom at lib.rs:1")
    );
    let mut loss = loss(&text);
    compute(&mut loss).unwrap();
    let text = message(compute(&mut loss));
    assert!(!text.contains("boom"), "{text}");
}

#[test]
fn a_plugin_that_crashed_starts_anew_at_the_next_call() {
    let mut loss = loss(&second_crashes());
    for _ in 0..3 {
        assert_eq!(value(&compute(&mut loss).unwrap()), 1.0);
        assert!(matches!(error(compute(&mut loss)), Error::Crash { .. }));
    }
}

#[test]
fn a_crash_in_one_plugin_is_none_in_another_of_the_same_kind_and_file() {
    let plugin = load(&Guest::loss(&second_crashes()).encode()).unwrap();
    let start = || plugin.loss(&Map::new(), &Limits::default()).unwrap();
    let (mut first, mut second) = (start(), start());
    compute(&mut first).unwrap();
    compute(&mut first).unwrap_err();
    compute(&mut second).unwrap();
}

#[test]
fn endless_recursion_is_a_crash_and_no_more() {
    let mut loss = loss("(call $compute (local.get $batch) (local.get $policy))");
    let text = message(compute(&mut loss));
    assert!(text.contains("call stack exhausted"), "{text}");
}

#[test]
fn a_handle_that_is_dropped_twice_is_a_crash() {
    let text = format!("(call $outputs-drop (local.get $policy)) {SCALAR}");
    assert!(matches!(error(compute(&mut loss(&text))), Error::Crash { function: "compute", .. }));
}

#[test]
fn a_borrow_that_is_kept_is_a_crash() {
    let keep = Guest::untidy_loss(&format!("(global.set $kept (local.get $batch)) {SCALAR}"));
    let mut loss = load(&keep.encode()).unwrap().loss(&Map::new(), &Limits::default()).unwrap();
    assert!(message(compute(&mut loss)).contains("crashed in `compute`: borrow handles still remain"));
}

#[test]
fn a_crash_while_a_plugin_is_made_is_reported_like_any_other() {
    let guest = Guest::callback().with("(func $start unreachable) (start $start)");
    let text = message(load(&guest.encode()));
    assert!(text.contains("given.wasm` crashed in `instantiate`"), "{text}");
}

#[test]
fn a_loss_may_run_a_model_while_it_is_computed_and_a_crash_there_is_the_models() {
    let forward = "(if (i32.eq (local.get $stage) (i32.const 9)) (then unreachable))
        (call $context-linear (local.get $context) (i32.const 5) (i32.const 0) (i32.const 0) (local.get $input) (i32.const 256))
        (call $ok (call $handle))";
    let model = load(&Guest::model("unreachable", forward).encode()).unwrap();
    let model = Arc::new(std::sync::Mutex::new(model.model(&Limits::default()).unwrap()));
    let outputs = |stage: u32| {
        let model = model.clone();
        let run = move || {
            let input = crate::support::ones(&[3]);
            Ok(model.lock().unwrap().forward(stage, Some(&input), Arc::new(Context))?)
        };
        Arc::new(Outputs { compute: Some(Arc::new(run)), ..Outputs::default() })
    };
    let mut loss = loss(
        "(call $outputs-token-logps (local.get $policy) (i32.const 256))
         (if (result i32) (i32.load8_u (i32.const 256))
           (then (call $fail (i32.load (i32.const 264)) (i32.load (i32.const 268))))
           (else (call $report (call $sum (call $handle)))))",
    );
    let run = |loss: &mut LossPlugin, stage| loss.compute(Arc::new(Batch { step: 0 }), outputs(stage), None);
    assert_eq!(value(&run(&mut loss, 1).unwrap()), 21.0);
    let text = message(run(&mut loss, 9));
    let start = "The plugin `hostile` failed in `compute`: The plugin `hostile` crashed in `forward`: ";
    assert!(text.starts_with(start), "{text}");
    assert_eq!(value(&run(&mut loss, 1).unwrap()), 21.0);
}

#[test]
fn plugins_can_be_sent_to_other_threads_and_run_at_the_same_time() {
    let plugin = load(&Guest::loss(SCALAR).encode()).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let mut loss = plugin.loss(&Map::new(), &Limits::default()).unwrap();
            std::thread::spawn(move || value(&compute(&mut loss).unwrap()))
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 1.0);
    }
}
