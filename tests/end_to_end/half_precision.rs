//! Training and answers in `float16`, and from checkpoints in it, by the real executable.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use swift_tensor::DType;
use swift_tests::{Outcome, Run, golden, read_json, read_json_lines, swift_host};

use crate::traces::{arguments, lines_with_loss};

/// Loss and gradient norm in `float16` beside those in `float32`, as parts of their size: the rounding of numbers of 11 bits, some
/// times over. The worst are 5.9e-4, of `dpo`, and 1.8e-3, of `sft_full`; in `bfloat16` they are 5.0e-3 and 4.7e-3.
const TOLERANCES: [(&str, f64); 2] = [("loss", 1.5e-3), ("grad_norm", 5e-3)];

/// The golden model as a folder of a checkpoint in `float16`.
fn half_precision_model(folder: &Path) {
    for file in fs::read_dir(golden("tiny-qwen2")).unwrap().map(|entry| entry.unwrap().path()) {
        fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    let mut config = read_json(&folder.join("config.json")).unwrap();
    config.as_object_mut().unwrap().remove("torch_dtype");
    config["dtype"] = json!("float16");
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let file = fs::read(golden("tiny-qwen2/model.safetensors")).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&file).unwrap();
    let narrowed = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let numbers: Vec<f32> =
            view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let value = swift_tensor::Value::from_vec(numbers, view.shape(), &swift_tensor::Device::Cpu);
        (name, value.unwrap().to_dtype(DType::F16).unwrap())
    };
    let tensors: BTreeMap<_, _> = stored.tensors().into_iter().map(narrowed).collect();
    swift_model::write_tensors(&folder.join("model.safetensors"), &tensors).unwrap();
}

fn outcome(folder: &Path, words: &str) -> Outcome {
    let mut command = swift_host(folder).unwrap();
    command.args(words.split_whitespace()).output().unwrap().into()
}

#[test]
fn runs_in_float16_follow_those_in_float32() {
    for name in ["sft", "sft_full", "sft_dora", "dpo"] {
        let trace = golden(&format!("traces/{name}"));
        let mut facts = read_json(&trace.join("args.json")).unwrap();
        facts["cli"]["torch_dtype"] = json!("float16");
        let folder = tempfile::tempdir().unwrap();
        let run = Run::succeed(folder.path(), "out", &arguments(name, &facts, "false")).unwrap();
        let expected = lines_with_loss(read_json_lines(&trace.join("logging.jsonl")).unwrap());
        let got = lines_with_loss(run.log_lines("loss").unwrap());
        assert_eq!(got.len(), expected.len(), "{name}");
        for (step, (got, expected)) in got.iter().zip(&expected).enumerate() {
            for (key, tolerance) in TOLERANCES {
                let [got, expected] = [got, expected].map(|line| line[key].as_f64().unwrap());
                let difference = (got - expected).abs() / expected.abs();
                assert!(
                    difference <= tolerance,
                    "{name}, step {}: `{key}` is {got}, not {expected}",
                    step + 1
                );
            }
        }
        let state =
            read_json(&swift_tests::last_checkpoint(&run.folder).unwrap().join("resume.json")).unwrap();
        assert_eq!(state["progress"]["gradient_scale"]["factor"], json!(65536.0), "{name}: {state}");
    }
}

#[test]
fn a_checkpoint_in_float16_is_trained_and_answers_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    fs::create_dir(&model).unwrap();
    half_precision_model(&model);
    let questions: Vec<String> =
        ["1 + 1?", "Who are you?", "And then?"].map(|query| json!({ "query": query }).to_string()).into();
    fs::write(folder.path().join("questions.jsonl"), questions.join("\n")).unwrap();
    let answers = |name: &str, words: &str| -> Vec<Value> {
        let words = format!(
            "infer {words} --val-dataset questions.jsonl --result-path {name}.jsonl --temperature 0 --max-new-tokens 8"
        );
        let Outcome { code, stderr, .. } = outcome(folder.path(), &words);
        assert_eq!(code, Some(0), "{stderr}");
        let lines = read_json_lines(&folder.path().join(format!("{name}.jsonl"))).unwrap();
        lines.into_iter().map(|mut line| line["response"].take()).collect()
    };
    let narrow = answers("narrow", "--model model");
    assert_eq!(narrow.len(), 3);
    assert_eq!(narrow, answers("wide", "--model model --dtype float32"));

    fs::copy(golden("traces/sft/data.jsonl"), folder.path().join("data.jsonl")).unwrap();
    let run = "run --model model --dataset data.jsonl --template qwen --max-length 512 --max-steps 2 \
               --per-device-train-batch-size 2 --gradient-accumulation-steps 1";
    for tuner in ["lora", "full"] {
        let Outcome { code, stderr, .. } =
            outcome(folder.path(), &format!("{run} --tuner-type {tuner} --output-dir out/{tuner}"));
        assert_eq!(code, Some(0), "{stderr}");
        let arguments = read_json(&folder.path().join("out").join(tuner).join("args.json")).unwrap();
        assert_eq!(arguments["torch_dtype"], "float16");
    }
    // A model whose weights were all trained is one in `float16` again.
    let trained = folder.path().join("out/full/checkpoint-2");
    assert_eq!(read_json(&trained.join("config.json")).unwrap()["dtype"], "float16");
    assert_eq!(answers("trained", "--model out/full/checkpoint-2").len(), 3);
}
