//! Whole models on disk.

use std::fs;

use serde_json::Value as Json;
use swift_tensor::DType;
use tempfile::TempDir;

use crate::golden::{flat, load, path, tensors};

#[test]
fn a_saved_model_is_a_folder_that_loads_again() {
    let source = TempDir::new().unwrap();
    for file in ["config.json", "generation_config.json", "model.safetensors"] {
        fs::copy(path("models/qwen2").join(file), source.path().join(file)).unwrap();
    }
    fs::write(source.path().join("tokenizer.json"), "{}").unwrap();
    fs::write(source.path().join("notes.txt"), "not part of a model").unwrap();
    for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let mut model = load(source.path(), dtype);
        model.train_all().unwrap();
        let target = TempDir::new().unwrap();
        let folder = target.path().join("deep").join("checkpoint-1");
        model.save(&folder).unwrap();
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]);
        let config: Json =
            serde_json::from_str(&fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
        let name = [
            (DType::F32, "float32"),
            (DType::F64, "float64"),
            (DType::BF16, "bfloat16"),
            (DType::F16, "float16"),
        ];
        assert!(name.contains(&(dtype, config["dtype"].as_str().unwrap())));
        assert_eq!(config["architectures"][0], "Qwen2ForCausalLM");

        let mut again = load(&folder, dtype);
        again.train_all().unwrap();
        assert_eq!(again.config().dtype(), Some(dtype));
        for (a, b) in model.parameters().iter().zip(again.parameters()) {
            assert_eq!((&a.name, flat(&a.value)), (&b.name, flat(&b.value)));
        }
    }
}

#[test]
fn a_saved_file_is_byte_for_byte_what_the_values_are() {
    let model = load(&path("models/qwen2"), DType::F32);
    let folder = TempDir::new().unwrap();
    model.save(folder.path()).unwrap();
    let got = tensors(&folder.path().join("model.safetensors"));
    let expected = tensors(&path("models/qwen2/model.safetensors"));
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().all(|(name, value)| flat(value) == flat(&expected[name])));
    let bytes = fs::read(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(bytes, fs::read(path("models/qwen2/model.safetensors")).unwrap());
}

#[test]
fn full_training_leaves_biases_and_norms_without_weight_decay() {
    let mut model = load(&path("models/qwen2"), DType::F32);
    assert!(model.parameters().is_empty());
    model.train_all().unwrap();
    let parameters = model.parameters();
    assert_eq!(parameters.len(), 26);
    for parameter in parameters {
        let plain = parameter.name.ends_with("bias") || parameter.name.contains("norm");
        assert_eq!(parameter.weight_decay, !plain, "{}", parameter.name);
        assert!(!parameter.adapter_b);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_nothing_is_left_in_it() {
    let model = load(&path("models/qwen2"), DType::F32);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = model.save(&folder.path().join("file").join("checkpoint")).unwrap_err().to_string();
    assert!(error.starts_with("Failed to write `") && error.contains("checkpoint`: "), "{error}");
    // A folder in the place of the file makes the renaming fail.
    let target = folder.path().join("target");
    fs::create_dir_all(target.join("model.safetensors").join("x")).unwrap();
    assert!(model.save(&target).is_err());
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
}
