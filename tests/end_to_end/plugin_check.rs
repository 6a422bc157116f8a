//! `swift-host plugin check`, and the trace of a run.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use swift_tests::{Outcome, Run, golden, plugin, read_json, read_json_lines, swift_host};

fn check(folder: &Path, words: &[&str]) -> Outcome {
    swift_host(folder).unwrap().args(["plugin", "check"]).args(words).output().unwrap().into()
}

/// Without what differs from machine to machine.
macro_rules! assert_shown {
    ($text:expr, @$expected:literal) => {
        insta::with_settings!({ filters => [(r"[\d.]+ µs", "[TIME]")] }, { assert_snapshot!($text, @$expected) })
    };
}

#[test]
fn a_plugin_that_is_right_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = check(folder.path(), &["dpo", "--plugin-arg", "beta=0.2"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_shown!(outcome.stdout, @r"
    passed  loss  One row: the loss is 0.640465
    passed  loss  One row: the gradient by `token_logps` is that of finite differences
    passed  loss  Several ragged rows: the loss is 0.701367
    passed  loss  Several ragged rows: the gradient by `token_logps` is that of finite differences
    passed  loss  Two instances give the same bits
    passed  loss  No handle is left when a call ends
    passed  loss  Nothing is remembered from call to call
    passed  loss  The loss in `float32` is near that in `float64`
    passed  loss  A call takes [TIME] and 73 operations (median of 20 calls)
    9 passed, 0 noted, 0 failed
    ");
}

#[test]
fn a_plugin_that_is_wrong_is_told_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = plugin("hostile").unwrap().display().to_string();
    let outcome = check(folder.path(), &[&hostile, "--plugin-arg", "behaviour=nan"]);
    assert_eq!(outcome.code, Some(1));
    assert_shown!(outcome.stdout, @r"
    failed  loss  One row: the loss is not finite
                  hint: `log` gave a value that is not finite
    failed  loss  Several ragged rows: the loss is not finite
                  hint: `log` gave a value that is not finite
    0 passed, 0 noted, 2 failed
    ");
}

#[test]
fn golden_values_are_written_and_met_and_missed() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(plugin("focal").unwrap(), folder.path().join("focal.wasm")).unwrap();
    let written = check(folder.path(), &["focal.wasm", "--write-golden"]);
    assert_eq!(written.code, Some(0), "{}", written.stdout);
    let golden = folder.path().join("focal.golden.json");
    assert_eq!(read_json(&golden).unwrap()["loss"].as_array().unwrap().len(), 2);
    let met = check(folder.path(), &["focal.wasm"]);
    assert!(met.code == Some(0) && met.stdout.contains("The golden values are met"), "{}", met.stdout);
    fs::write(&golden, "{\"loss\": [1, 2]}").unwrap();
    let missed = check(folder.path(), &["focal.wasm"]);
    assert!(
        missed.code == Some(1) && missed.stdout.contains("its golden value [1.0, 2.0]"),
        "{}",
        missed.stdout
    );
}

#[test]
fn what_can_not_be_checked_is_one_sentence_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    for (words, code) in [
        (&["dpo", "--write-golden"][..], 2),
        (&["dpo", "--plugin-arg", "bta=1"], 2),
        (&["dpo", "--plugin-arg", "beta"], 2),
        (&["dop"], 1),
        (&["dpo", "--golden", "nowhere.json"], 1),
    ] {
        let outcome = check(folder.path(), words);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(code), ""),
            "{words:?}: {}",
            outcome.stderr
        );
        assert!(outcome.stderr.starts_with("error: "), "{words:?}: {}", outcome.stderr);
    }
}

#[test]
fn a_trace_has_each_operation_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let words = format!(
        "--model {} --dataset {} --template qwen --max-steps 1 --max-length 512 --trace-plugin=trace.jsonl",
        golden("tiny-qwen2").display(),
        golden("traces/sft/data.jsonl").display()
    );
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    Run::succeed(folder.path(), "out", &words).unwrap();
    let lines = read_json_lines(&folder.path().join("trace.jsonl")).unwrap();
    let has = |plugin: &str, operation: &str| {
        lines.iter().any(|line| line["plugin"] == plugin && line["operation"] == operation)
    };
    assert!(has("llama", "context.attention") && has("sft", "outputs.token-logps"));
    let embedding = lines.iter().find(|line| line["operation"] == "context.embedding").unwrap();
    assert_eq!(embedding["function"], "forward");
    assert_eq!(embedding["output"]["shape"].as_array().unwrap().len(), 2);
}
