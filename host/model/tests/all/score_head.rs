//! Score heads: where they come from, what they compute, and what is left of them on disk.

use std::fs;

use serde_json::{Value as Json, json};
use swift_model::{Model, Outputs};
use swift_runtime::OutputsView as _;
use swift_tensor::{DType, backward};
use tempfile::TempDir;

use crate::adapters::options;
use crate::golden::{self, Batch, Gradients, PLAIN, flat, path, tensors};

const ADAPTER_NAME: &str = "base_model.model.score.weight";

fn batch() -> Batch {
    Batch::from(&tensors(&path("models/qwen2/golden.safetensors")))
}

fn with_head(outputs: usize) -> Model {
    let mut model = golden::load(&path("models/qwen2"), DType::F32);
    model.attach_adapter(&options(false)).unwrap();
    model.attach_score_head(outputs, None, 7).unwrap();
    model
}

fn outputs(model: &Model) -> Outputs {
    let batch = batch();
    let hidden = model.forward(&batch.tokens, PLAIN).unwrap();
    Outputs::new(model, hidden, &batch.labels, &batch.tokens.lengths).unwrap()
}

fn head(model: &Model) -> (String, Vec<f64>) {
    let head = model.parameters().pop().unwrap();
    (head.name.clone(), flat(&head.value))
}

#[test]
fn scores_are_products_with_the_hidden_state_of_the_last_token() {
    let model = with_head(3);
    let outputs = outputs(&model);
    let (name, weight) = head(&model);
    assert_eq!(name, ADAPTER_NAME);
    let hidden = outputs.hidden().unwrap().to_list().unwrap();
    let lengths = batch().tokens.lengths;
    let scores = outputs.scores().unwrap();
    assert_eq!(scores.dims(), [lengths.len(), 3]);
    let token_scores = outputs.token_scores().unwrap().to_list().unwrap();
    let mut end = 0;
    for (scores, length) in scores.to_list().unwrap().chunks(3).zip(lengths) {
        end += length as usize;
        for (output, score) in scores.iter().enumerate() {
            let row = &hidden[(end - 1) * 64..end * 64];
            let expected: f64 = row.iter().zip(&weight[output * 64..]).map(|(x, w)| x * w).sum();
            assert!((score - expected).abs() < 1e-5, "{score} is not {expected}");
            // A product of few rows is not summed up in the order of one of many.
            let of_token = token_scores[(end - 1) * 3 + output];
            assert!((score - of_token).abs() < 1e-6, "{score} is not {of_token}");
        }
    }
}

#[test]
fn a_head_is_trained_together_with_the_adapter() {
    let model = with_head(1);
    let loss = outputs(&model).scores().unwrap().sum(&[], false).unwrap();
    let mut sink = Gradients::default();
    backward(&loss, &mut sink).unwrap();
    let ids: std::collections::BTreeSet<u32> = model.parameters().iter().map(|p| p.id.0).collect();
    assert_eq!(ids.len(), model.parameters().len(), "every parameter has an id of its own");
    let head = model.parameters().pop().unwrap();
    assert!(sink.0.contains_key(&head.id));
    // `B` is zero at first, so gradients reach it and not `A`.
    assert!(model.parameters().iter().filter(|p| p.adapter_b).all(|p| sink.0.contains_key(&p.id)));
}

#[test]
fn a_saved_head_is_found_again_as_peft_has_it() {
    let model = with_head(2);
    let folder = TempDir::new().unwrap();
    model.save(folder.path()).unwrap();
    let config: Json =
        serde_json::from_slice(&fs::read(folder.path().join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!((&config["modules_to_save"], &config["task_type"]), (&json!(["score"]), &json!("SEQ_CLS")));
    let load = |outputs| {
        let mut model = golden::load(&path("models/qwen2"), DType::F32);
        model.load_adapter(folder.path(), true).unwrap();
        model.attach_score_head(outputs, Some(folder.path()), 8).map(|()| model)
    };
    assert_eq!(head(&load(2).unwrap()), head(&model));
    let error = load(3).err().unwrap().to_string();
    assert!(error.contains(ADAPTER_NAME) && error.contains("[2, 64]"), "{error}");
}

#[test]
fn a_head_of_a_whole_model_lies_beside_its_weights() {
    let mut model = golden::load(&path("models/qwen2"), DType::F32);
    model.train_all().unwrap();
    model.attach_score_head(2, None, 7).unwrap();
    assert_eq!(head(&model).0, "score.weight");
    let folder = TempDir::new().unwrap();
    model.save(folder.path()).unwrap();
    let mut again = golden::load(folder.path(), DType::F32);
    again.attach_score_head(2, None, 8).unwrap();
    assert_eq!(head(&again), head(&model));
}

#[test]
fn the_config_of_a_whole_model_with_a_head_is_what_transformers_makes_one_from() {
    let mut model = golden::load(&path("models/qwen2"), DType::F32);
    model.train_all().unwrap();
    model.attach_score_head(2, None, 7).unwrap();
    let folder = TempDir::new().unwrap();
    model.save(folder.path()).unwrap();
    let file = folder.path().join("config.json");
    let config: Json = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(config["architectures"], json!(["Qwen2ForSequenceClassification"]));
    assert_eq!(config["num_labels"], json!(2));
    assert_eq!(config["id2label"], json!({ "0": "LABEL_0", "1": "LABEL_1" }));
    assert_eq!(config["label2id"], json!({ "LABEL_0": 0, "LABEL_1": 1 }));

    // Names that are there already stay, and the model is wired as before.
    let named = json!({ "0": "bad", "1": "good" });
    let mut renamed = config.clone();
    renamed["id2label"] = named.clone();
    fs::write(&file, renamed.to_string()).unwrap();
    let mut again = golden::load(folder.path(), DType::F32);
    assert_eq!(again.config().architecture(), "Qwen2ForCausalLM");
    again.train_all().unwrap();
    again.attach_score_head(2, None, 8).unwrap();
    let second = TempDir::new().unwrap();
    again.save(second.path()).unwrap();
    let config: Json = serde_json::from_slice(&fs::read(second.path().join("config.json")).unwrap()).unwrap();
    assert_eq!((&config["id2label"], &config["num_labels"]), (&named, &json!(2)));
    assert_eq!(config["architectures"], json!(["Qwen2ForSequenceClassification"]));
    assert_eq!(head(&again), head(&model));
}

#[test]
fn without_a_head_there_are_no_scores() {
    let error = outputs(&golden::load(&path("models/qwen2"), DType::F32)).scores().unwrap_err();
    assert!(error.to_string().contains("score head"), "{error}");
}
