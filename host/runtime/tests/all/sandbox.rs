//! WASI is there, for runtimes that want it, and grants nothing.

use std::time::{Duration, Instant};

use serde_json::Map;
use swift_runtime::{Limits, LossPlugin};

use crate::support::{Guest, SCALAR, compute, load, message, string, value};

/// As much of WASI as the tests use.
const PACKAGES: &[&str] = &[
    "package wasi:io@0.2.6;
     interface error { resource error; }
     interface poll { resource pollable { block: func(); } }
     interface streams {
         use error.{error};
         variant stream-error { last-operation-failed(error), closed }
         resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
     }",
    "package wasi:cli@0.2.6;
     interface stderr { use wasi:io/streams@0.2.6.{output-stream}; get-stderr: func() -> output-stream; }
     interface exit { exit-with-code: func(status-code: u8); }
     interface environment { get-environment: func() -> list<tuple<string, string>>; }",
    "package wasi:clocks@0.2.6;
     interface monotonic-clock { use wasi:io/poll@0.2.6.{pollable}; subscribe-duration: func(when: u64) -> pollable; }",
    "package wasi:random@0.2.6;
     interface random { get-random-u64: func() -> u64; }",
    "package wasi:filesystem@0.2.6;
     interface types { resource descriptor; }
     interface preopens {
         use types.{descriptor};
         get-directories: func() -> list<tuple<descriptor, string>>;
     }",
];

const IMPORTS: &str = "
    import wasi:cli/stderr@0.2.6; import wasi:cli/exit@0.2.6; import wasi:cli/environment@0.2.6;
    import wasi:clocks/monotonic-clock@0.2.6; import wasi:random/random@0.2.6; import wasi:filesystem/preopens@0.2.6;";

const CORE: &str = r#"
  (import "wasi:cli/stderr@0.2.6" "get-stderr" (func $get-stderr (result i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $stream-write (param i32 i32 i32 i32)))
  (import "wasi:cli/exit@0.2.6" "exit-with-code" (func $exit (param i32)))
  (import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
  (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $directories (param i32)))
  (func $complain (param $text i32) (param $length i32)
    (call $stream-write (call $get-stderr) (local.get $text) (local.get $length) (i32.const 256)))
"#;

fn loss(compute: &str) -> LossPlugin {
    let guest = Guest::loss(compute).importing(PACKAGES, IMPORTS, CORE);
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
