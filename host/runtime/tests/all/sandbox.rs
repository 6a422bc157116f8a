//! WASI is there, for runtimes that want it, and offers nothing that was not granted.

use std::time::{Duration, Instant};

use serde_json::Map;
use swift_runtime::{Limits, LossPlugin};

use crate::support::{Guest, SCALAR, compute, load, message, string, value, wasi};

fn loss(compute: &str) -> LossPlugin {
    let guest = Guest::loss(compute).importing(wasi::PACKAGES, wasi::IMPORTS, wasi::CORE);
    load(&guest.encode()).unwrap().loss(&Map::new(), &Limits::default()).unwrap()
}

#[test]
fn the_last_line_of_stderr_is_the_message_of_a_crash() {
    let mut loss = loss(&format!("(call $complain {}) unreachable", string("first line\nout of ideas\n")));
    for _ in 0..2 {
        assert_eq!(message(compute(&mut loss)), "The plugin `hostile` crashed in `compute`: out of ideas");
    }
}

#[test]
fn writing_much_to_stderr_does_no_harm() {
    let text = format!(
        "(local $i i32)
         (loop $more
           (call $complain (i32.const 0) (i32.const 4096))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))
         {SCALAR}"
    );
    compute(&mut loss(&text)).unwrap();
}

#[test]
fn an_exit_ends_the_plugin_and_not_the_host() {
    let text = message(compute(&mut loss("(call $exit (i32.const 3)) unreachable")));
    assert_eq!(text, "The plugin `hostile` crashed in `compute`: it exited with code 3");
}

#[test]
fn a_sleep_is_over_at_once() {
    let start = Instant::now();
    let mut loss = loss(&format!("(call $block (call $after (i64.const 3600000000000))) {SCALAR}"));
    compute(&mut loss).unwrap();
    assert!(start.elapsed() < Duration::from_secs(600));
}

#[test]
fn there_is_no_environment_and_no_folder() {
    // The number of variables plus that of folders.
    let mut loss = loss(
        "(call $environment (i32.const 640))
         (call $directories (i32.const 648))
         (call $full (f64.convert_i32_u (i32.add (i32.load (i32.const 644)) (i32.load (i32.const 652)))) (i32.const 0))
         (call $report)",
    );
    assert_eq!(value(&compute(&mut loss).unwrap()), 0.0);
}

#[test]
fn random_numbers_are_the_same_each_time() {
    let text = "(call $report (call $full (f64.convert_i64_u (call $random)) (i32.const 0)))";
    let first = value(&compute(&mut loss(text)).unwrap());
    assert_eq!(first, value(&compute(&mut loss(text)).unwrap()));
}
