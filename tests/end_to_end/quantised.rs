//! Training beside weights of few bits, and answers with them, by the real executable.

use std::fs;
use std::path::Path;

use serde_json::Value;
use swift_tests::{Outcome, Run, golden, read_json, read_json_lines, swift_host};

const TRAINING: &str = "--template qwen --lora-rank 4 --max-steps 12 --learning-rate 5e-3 --lora-dropout 0 \
                        --per-device-train-batch-size 4 --gradient-accumulation-steps 1 --logging-steps 1 \
                        --max-length 512";

/// Losses of a run on few rows, again and again.
fn losses(folder: &Path, words: &str) -> (Run, Vec<f64>) {
    let data = fs::read_to_string(golden("traces/sft/data.jsonl")).unwrap();
    let data: String = data.lines().take(4).map(|line| format!("{line}\n")).collect();
    fs::write(folder.join("data.jsonl"), data).unwrap();
    let model = golden("tiny-qwen2").display().to_string();
    let words = format!("--model {model} --dataset data.jsonl {TRAINING} {words}");
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let run = Run::succeed(folder, "out", &words).unwrap();
    let lines = read_json_lines(&run.folder.join("logging.jsonl")).unwrap();
    let losses = lines.iter().filter_map(|line| line.get("loss").and_then(Value::as_f64)).collect();
    (run, losses)
}

#[test]
fn an_adapter_learns_beside_quantised_weights_and_is_used_beside_them() {
    for bits in ["4", "8"] {
        let folder = tempfile::tempdir().unwrap();
        let quantised = format!("--quant-bits {bits} --quant-method bnb");
        let (run, losses) = losses(folder.path(), &quantised);
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(losses.len() == 12 && last < first - 0.5, "{bits} bits: {losses:?}");
        let lock = read_json(&run.folder.join("run.lock.json")).unwrap();
        assert_eq!(lock["settings"]["quant_bits"].to_string(), bits, "{lock}");

        fs::write(folder.path().join("questions.jsonl"), "{\"query\": \"1 + 1?\"}\n").unwrap();
        let mut command = swift_host(folder.path()).unwrap();
        command.args(["infer", "--model"]).arg(golden("tiny-qwen2")).args(quantised.split_whitespace());
        command.args("--val-dataset questions.jsonl --result-path answers.jsonl".split_whitespace());
        command.args("--temperature 0 --max-new-tokens 4 --adapters".split_whitespace());
        let Outcome { code, stderr, .. } =
            command.arg(run.folder.join("checkpoint-12")).output().unwrap().into();
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(read_json_lines(&folder.path().join("answers.jsonl")).unwrap().len(), 1);
    }
}

#[test]
fn quantised_weights_are_not_trained() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = swift_host(folder.path()).unwrap();
    command.args(["run", "--model"]).arg(golden("tiny-qwen2"));
    command.args("--dataset x.jsonl --tuner-type full --quant-bits 4".split_whitespace());
    let Outcome { code, stderr, .. } = command.output().unwrap().into();
    assert_ne!(code, Some(0));
    assert!(
        stderr.contains("`--tuner-type full` trains all weights, but `--quant-bits` freezes them"),
        "{stderr}"
    );
}
