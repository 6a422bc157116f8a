//! Models with an adapter in their weights, against what PEFT merges.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use swift_model::{MergeOptions, Merged, merge_adapter, weight_files, write_tensors};
use swift_tensor::{DType, Value};
use tempfile::TempDir;

use crate::golden::{Batch, PLAIN, flat, load, path, tensors};
use crate::native::NativeLlama;

const ADAPTERS: [(&str, usize); 4] = [("lora", 4), ("rslora", 4), ("dora", 6), ("all_linear", 14)];

fn merge(adapter: &Path, output: &Path, options: &MergeOptions) -> swift_model::Result<Merged> {
    merge_adapter(&path("models/qwen2"), adapter, NativeLlama::default(), output, options)
}

/// All tensors of a folder.
fn weights(folder: &Path) -> BTreeMap<String, Value> {
    weight_files(folder).unwrap().iter().flat_map(|file| tensors(file)).collect()
}

fn distance(a: &Value, b: &Value) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let pairs = flat(a).into_iter().zip(flat(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn merged_weights_are_those_of_peft_and_all_others_stay() {
    let base = weights(&path("models/qwen2"));
    for (name, count) in ADAPTERS {
        let folder = TempDir::new().unwrap();
        let output = folder.path().join("merged");
        let merged = merge(&path("lora").join(name), &output, &MergeOptions::default()).unwrap();
        assert_eq!((merged.changed, merged.replaced, merged.tensors), (count, 0, base.len()));
        let golden = tensors(&path("lora").join(name).join("merged.safetensors"));
        let got = weights(&output);
        assert_eq!(got.keys().collect::<Vec<_>>(), base.keys().collect::<Vec<_>>());
        let mut changed = 0;
        for (weight, value) in &got {
            if let Some(expected) = golden.get(&format!("weight.{weight}")) {
                assert!(distance(value, expected) <= 1e-6, "{name} {weight}");
                changed += 1;
            } else {
                assert_eq!(flat(value), flat(&base[weight]), "{name} {weight}");
            }
        }
        assert_eq!(changed, count);
    }
}

#[test]
fn a_merged_model_has_the_logits_of_the_adapted_one() {
    let golden = tensors(&path("models/qwen2/golden.safetensors"));
    let batch = Batch::from(&golden);
    let logits = |model: &swift_model::Model| {
        let hidden = model.forward(&batch.tokens, PLAIN).unwrap();
        model.logits(&hidden, &(0..batch.tokens.ids.len() as u32).collect::<Vec<_>>()).unwrap()
    };
    let plain = logits(&load(&path("models/qwen2"), DType::F32));
    for (name, _) in ADAPTERS {
        let adapter = path("lora").join(name);
        let mut adapted = load(&path("models/qwen2"), DType::F32);
        adapted.load_adapter(&adapter, false).unwrap();
        let folder = TempDir::new().unwrap();
        let output = folder.path().join("merged");
        merge(&adapter, &output, &MergeOptions::default()).unwrap();
        let (expected, got) = (logits(&adapted), logits(&load(&output, DType::F32)));
        let largest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // What rounding to `float32` in another order makes of the greatest logits.
        let scale = expected.iter().fold(1.0f32, |most, logit| most.max(logit.abs()));
        assert!(largest(&expected, &got) < 1e-5 * scale, "{name}: {}", largest(&expected, &got));
        assert!(largest(&plain, &got) > 1e-2, "{name} changes nothing");
    }
}

#[test]
fn weights_are_split_and_converted_as_asked() {
    let folder = TempDir::new().unwrap();
    let whole = folder.path().join("whole");
    let adapter = path("lora/dora");
    merge(&adapter, &whole, &MergeOptions::default()).unwrap();
    assert_eq!(
        fs::read(whole.join("config.json")).unwrap(),
        fs::read(path("models/qwen2/config.json")).unwrap()
    );
    let whole = weights(&whole);
    let types = [
        (None, DType::F32, "float32"),
        (Some(DType::BF16), DType::BF16, "bfloat16"),
        (Some(DType::F16), DType::F16, "float16"),
        (Some(DType::F64), DType::F64, "float64"),
    ];
    for (dtype, stored, name) in types {
        let output = folder.path().join(name);
        let options = MergeOptions { dtype, shard_bytes: 60_000 };
        let merged = merge(&adapter, &output, &options).unwrap();
        let files = weight_files(&output).unwrap();
        assert!(files.len() > 2, "{files:?}");
        assert!(files[0].ends_with(format!("model-00001-of-{:05}.safetensors", files.len())));
        let index: Json =
            serde_json::from_str(&fs::read_to_string(output.join("model.safetensors.index.json")).unwrap())
                .unwrap();
        assert_eq!(index["metadata"]["total_size"], merged.bytes);
        for file in &files {
            let size = tensors(file).values().map(|x| x.elem_count() * stored.size_in_bytes()).sum::<usize>();
            assert!(size <= 60_000 || tensors(file).len() == 1);
        }
        let config: Json =
            serde_json::from_str(&fs::read_to_string(output.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["dtype"], name);
        let got = weights(&output);
        assert_eq!(got.len(), whole.len());
        for (weight, value) in &got {
            assert_eq!(value.dtype(), stored, "{weight}");
            assert_eq!(flat(value), flat(&whole[weight].to_dtype(stored).unwrap()), "{weight}");
        }
    }
}

#[test]
fn modules_that_were_saved_whole_take_the_place_of_the_models_own() {
    let folder = TempDir::new().unwrap();
    let adapter = folder.path().join("adapter");
    fs::create_dir(&adapter).unwrap();
    let from = path("lora/lora");
    let config = fs::read_to_string(from.join("adapter_config.json")).unwrap();
    let mut config: Json = serde_json::from_str(&config).unwrap();
    config["modules_to_save"] = json!(["embed_tokens", "norm", "score"]);
    fs::write(adapter.join("adapter_config.json"), config.to_string()).unwrap();
    let base = weights(&path("models/qwen2"));
    let (embedding, norm) = ("model.embed_tokens.weight", "model.norm.weight");
    let mut saved = tensors(&from.join("adapter_model.safetensors"));
    for name in [embedding, norm] {
        saved.insert(format!("base_model.model.{name}"), (&base[name] * 2.0).unwrap());
    }
    let hidden = base[norm].elem_count();
    let head = Value::zeros((3, hidden), DType::F32, base[norm].device()).unwrap();
    saved.insert("base_model.model.score.weight".into(), head);
    write_tensors(&adapter.join("adapter_model.safetensors"), &saved).unwrap();

    let output = folder.path().join("merged");
    let merged = merge(&adapter, &output, &MergeOptions::default()).unwrap();
    assert_eq!((merged.changed, merged.replaced), (4, 3));
    let got = weights(&output);
    for name in [embedding, norm] {
        assert_eq!(flat(&got[name]), flat(&(&base[name] * 2.0).unwrap()), "{name}");
    }
    assert_eq!(got["score.weight"].dims(), [3, hidden]);
    let config = fs::read_to_string(output.join("config.json")).unwrap();
    let config: Json = serde_json::from_str(&config).unwrap();
    assert_eq!(config["architectures"], json!(["Qwen2ForSequenceClassification"]));
    assert_eq!(config["num_labels"], 3);
}

#[test]
fn nothing_is_left_where_merging_failed_and_nothing_is_written_over() {
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("merged");
    let adapter = folder.path().join("adapter");
    fs::create_dir(&adapter).unwrap();
    fs::copy(path("lora/lora/adapter_config.json"), adapter.join("adapter_config.json")).unwrap();
    let mut tensors = tensors(&path("lora/lora/adapter_model.safetensors"));
    tensors.insert("base_model.model.surprise.weight".into(), tensors.values().next().unwrap().clone());
    write_tensors(&adapter.join("adapter_model.safetensors"), &tensors).unwrap();
    let error = merge(&adapter, &output, &MergeOptions::default()).unwrap_err().to_string();
    assert!(error.contains("`base_model.model.surprise.weight`"), "{error}");
    let entries: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(entries, ["adapter"]);

    // What a killed one left is in nobody's way.
    fs::create_dir(folder.path().join("merged.partial")).unwrap();
    fs::write(folder.path().join("merged.partial/model-00001-of-00009.safetensors"), "half").unwrap();
    merge(&path("lora/lora"), &output, &MergeOptions::default()).unwrap();
    assert!(!folder.path().join("merged.partial").exists());
    assert!(!output.join("model-00001-of-00009.safetensors").exists());
    let before = fs::read(output.join("model.safetensors")).unwrap();
    let error = merge(&path("lora/dora"), &output, &MergeOptions::default()).unwrap_err().to_string();
    assert!(error.contains("it is there already"), "{error}");
    assert_eq!(fs::read(output.join("model.safetensors")).unwrap(), before);
}

#[test]
fn numbers_that_float16_cannot_hold_are_refused() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("model");
    fs::create_dir(&model).unwrap();
    fs::copy(path("models/qwen2/config.json"), model.join("config.json")).unwrap();
    let mut base = weights(&path("models/qwen2"));
    let huge = (&base["model.norm.weight"] * 1e6).unwrap();
    base.insert("model.norm.weight".into(), huge);
    write_tensors(&model.join("model.safetensors"), &base).unwrap();
    let options = MergeOptions { dtype: Some(DType::F16), ..MergeOptions::default() };
    let output = folder.path().join("merged");
    let error = merge_adapter(&model, &path("lora/lora"), NativeLlama::default(), &output, &options);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`model.norm.weight` as float16"), "{error}");
    assert!(!output.exists());
}
