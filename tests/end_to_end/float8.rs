//! Training with products in 8 bits, by the real executable.

use std::fs;

use serde_json::json;
use swift_tests::{Outcome, Run, golden, last_checkpoint, read_json, swift_host};

/// The loss of each step beside that in `bfloat16`, as a part of it. The worst are 5.9e-3, of all weights, and 6.4e-3, of adapters;
/// `bfloat16` itself is within 6e-4 of `float32`.
const TOLERANCE: f64 = 1e-2;

/// The loss of each step of a run of 40, in an element type.
fn losses(tuner: &str, dtype: &str) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("traces/sft/data.jsonl"), folder.path().join("data.jsonl")).unwrap();
    let model = golden("tiny-qwen2");
    let rate = if tuner == "full" { "1e-3" } else { "4e-3" };
    let words = format!(
        "--model {} --dataset {} --template qwen --max-length 512 --max-steps 40 --num-train-epochs 100 --logging-steps 1 \
         --per-device-train-batch-size 2 --gradient-accumulation-steps 1 --tuner-type {tuner} --learning-rate {rate} --dtype {dtype}",
        model.display(),
        folder.path().join("data.jsonl").display(),
    );
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let run = Run::succeed(folder.path(), "out", &words).unwrap();
    assert_eq!(read_json(&run.folder.join("args.json")).unwrap()["torch_dtype"], dtype);
    if tuner == "full" {
        // Weights stay in 16 bits.
        let trained = last_checkpoint(&run.folder).unwrap();
        assert_eq!(read_json(&trained.join("config.json")).unwrap()["dtype"], json!("bfloat16"));
    }
    run.log_lines("grad_norm").unwrap().iter().map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn the_loss_in_8_bits_follows_that_in_bfloat16() {
    for tuner in ["full", "lora"] {
        let [plain, rounded] = ["bfloat16", "fp8"].map(|dtype| losses(tuner, dtype));
        assert_eq!((plain.len(), rounded.len()), (40, 40));
        let off = |(plain, rounded): (&f64, &f64)| ((rounded - plain) / plain).abs();
        let worst = plain.iter().zip(&rounded).map(off).fold(0.0, f64::max);
        assert!(worst <= TOLERANCE, "{tuner}: {worst}\n{plain:?}\n{rounded:?}");
        // What was learned is much more than that, and the runs are not the same.
        assert!(
            plain[39] < 0.85 * plain[0] && rounded[39] < 0.85 * rounded[0],
            "{tuner}: {plain:?} {rounded:?}"
        );
        assert!(plain.iter().zip(&rounded).all(|(plain, rounded)| plain != rounded), "{tuner}");
    }
}

#[test]
fn what_is_not_rounded_for_products_has_no_such_type() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |words: &str| {
        let mut command = swift_host(folder.path()).unwrap();
        let Outcome { code, stderr, .. } = command.args(words.split_whitespace()).output().unwrap().into();
        assert_ne!(code, Some(0), "{words}");
        stderr
    };
    let model = golden("tiny-qwen2");
    let model = model.display();
    let refused = refusal(&format!("run --model {model} --dataset x.jsonl --dtype fp8 --quant-bits 4"));
    assert!(refused.contains("but `--quant-bits` keeps them in few bits"), "{refused}");
    let refused = refusal(&format!("infer --model {model} --dtype fp8"));
    assert!(refused.contains("`--dtype` can't be `fp8`"), "{refused}");
}
