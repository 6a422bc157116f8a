//! Logits, loss and gradients against transformers and PEFT.

use swift_model::{ForwardOptions, Model};
use swift_runtime::OutputsView;
use swift_tensor::{DType, Tensor, Value};

use crate::golden::{self, Batch, PLAIN, compare, compare_logits, flat, outputs, path, tensors, worst};

fn full_training_matches(name: &str) {
    let folder = path("models").join(name);
    let golden = tensors(&folder.join("golden.safetensors"));
    let mut model = golden::load(&folder, DType::F32);
    model.train_all().unwrap();
    compare(&model, &golden, PLAIN);
    compare(&model, &golden, ForwardOptions { recompute: true, ..PLAIN });
}

#[test]
fn qwen2_with_biases_and_tied_embeddings_matches_transformers() {
    full_training_matches("qwen2");
}

#[test]
fn qwen3_with_norms_on_queries_and_keys_matches_transformers() {
    full_training_matches("qwen3");
}

#[test]
fn llama_with_scaled_positions_matches_transformers() {
    full_training_matches("llama");
}

#[test]
fn llama_with_tied_embeddings_matches_transformers() {
    full_training_matches("llama_tied");
}

#[test]
fn mistral_with_a_sliding_window_matches_transformers() {
    full_training_matches("mistral");
}

fn adapter_matches(name: &str) {
    let folder = path("lora").join(name);
    let golden = tensors(&folder.join("golden.safetensors"));
    let mut model = golden::load(&path("models/qwen2"), DType::F32);
    model.load_adapter(&folder, true).unwrap();
    compare(&model, &golden, PLAIN);
    compare(&model, &golden, ForwardOptions { recompute: true, ..PLAIN });
}

#[test]
fn lora_on_two_projections_matches_peft() {
    adapter_matches("lora");
}

#[test]
fn lora_on_all_linear_layers_matches_peft() {
    adapter_matches("all_linear");
}

#[test]
fn rank_stabilised_lora_matches_peft() {
    adapter_matches("rslora");
}

#[test]
fn dora_matches_peft() {
    adapter_matches("dora");
}

#[test]
fn without_its_adapter_a_model_is_the_base_model() {
    let mut model = golden::load(&path("models/qwen2"), DType::F32);
    model.load_adapter(&path("lora/dora"), true).unwrap();
    let golden = tensors(&path("models/qwen2/golden.safetensors"));
    let batch = Batch::from(&golden);
    let outputs = outputs(&model, &batch, ForwardOptions { adapters: false, ..PLAIN });
    compare_logits(&outputs, &batch, &golden["logits"]);
    assert!(!outputs.token_logps().unwrap().requires_grad());
}

#[test]
fn an_adapter_that_is_not_trained_takes_part_without_gradients() {
    let mut model = golden::load(&path("models/qwen2"), DType::F32);
    model.load_adapter(&path("lora/lora"), false).unwrap();
    assert!(model.parameters().is_empty());
    let golden = tensors(&path("lora/lora/golden.safetensors"));
    let batch = Batch::from(&golden);
    let outputs = outputs(&model, &batch, PLAIN);
    compare_logits(&outputs, &batch, &golden["logits"]);
    assert!(!outputs.token_logps().unwrap().requires_grad());
}

#[test]
fn a_new_adapter_changes_nothing() {
    for dora in [false, true] {
        let golden = tensors(&path("models/qwen2/golden.safetensors"));
        let mut model = golden::load(&path("models/qwen2"), DType::F32);
        model.attach_adapter(&crate::adapters::options(dora)).unwrap();
        let batch = Batch::from(&golden);
        compare_logits(&outputs(&model, &batch, PLAIN), &batch, &golden["logits"]);
    }
}

#[test]
fn sixteen_bits_are_close_to_float32() {
    let folder = path("models/llama");
    let golden = tensors(&folder.join("golden.safetensors"));
    let batch = Batch::from(&golden);
    for (dtype, tolerance) in [(DType::BF16, 3e-2), (DType::F16, 4e-3)] {
        let mut model = golden::load(&folder, dtype);
        model.train_all().unwrap();
        let outputs = outputs(&model, &batch, PLAIN);
        let loss = golden::loss(&outputs, &batch);
        assert!((golden::scalar(loss.value()) - golden::scalar(&golden["loss"])).abs() < tolerance);
        assert_eq!(golden::gradients(&model, &loss).len(), model.parameters().len());
    }
}

/// The gradient of the loss with respect to some elements of each trained parameter, by central differences in `float64`.
fn differences_agree(model: &Model, options: ForwardOptions, skip: &str) {
    let batch = Batch::from(&tensors(&path("models/qwen2/golden.safetensors")));
    let loss = || golden::loss(&outputs(model, &batch, options), &batch);
    let gradients = golden::gradients(model, &loss());
    let step = 1e-6;
    for parameter in model.parameters().into_iter().filter(|p| !p.name.contains(skip)).step_by(5) {
        let original = flat(&parameter.value);
        let place = original.len() / 3;
        let at = |offset: f64| {
            let mut moved = original.clone();
            moved[place] += offset;
            let moved = Value::from_vec(moved, parameter.value.dims(), parameter.value.device()).unwrap();
            parameter.value.slice_set(&moved, 0, 0).unwrap();
            model.parameters_changed();
            golden::scalar(loss().value())
        };
        let numeric = (at(step) - at(-step)) / (2.0 * step);
        at(0.0);
        let analytic = gradients[&parameter.name][place];
        assert!((numeric - analytic).abs() < 1e-7, "{}: {numeric} {analytic}", parameter.name);
    }
}

#[test]
fn gradients_of_lora_with_dropout_are_those_of_finite_differences() {
    let mut model = golden::load(&path("models/qwen2"), DType::F64);
    model
        .load_adapter(&crate::adapters::with_dropout("all_linear", 0.3).path().join("adapter"), true)
        .unwrap();
    let options = ForwardOptions { dropout_seed: Some(5), recompute: true, ..PLAIN };
    differences_agree(&model, options, "nothing");
}

/// Norms are constants on the way back, so only the gradients of magnitudes are those of the whole function.
#[test]
fn gradients_of_magnitudes_with_dropout_are_those_of_finite_differences() {
    let mut model = golden::load(&path("models/qwen2"), DType::F64);
    model.load_adapter(&crate::adapters::with_dropout("dora", 0.3).path().join("adapter"), true).unwrap();
    let options = ForwardOptions { dropout_seed: Some(5), recompute: true, ..PLAIN };
    differences_agree(&model, options, "weight");
}

#[test]
fn dropout_depends_on_the_seed_alone_and_recomputation_repeats_it() {
    let mut model = golden::load(&path("models/qwen2"), DType::F32);
    model
        .load_adapter(&crate::adapters::with_dropout("all_linear", 0.5).path().join("adapter"), true)
        .unwrap();
    let batch = Batch::from(&tensors(&path("models/qwen2/golden.safetensors")));
    let run = |seed: Option<u64>, recompute: bool| {
        let outputs = outputs(&model, &batch, ForwardOptions { dropout_seed: seed, recompute, ..PLAIN });
        let loss: Tensor = golden::loss(&outputs, &batch);
        let gradients = golden::gradients(&model, &loss);
        (loss.to_list().unwrap(), gradients)
    };
    assert_eq!(run(Some(1), false), run(Some(1), true));
    assert_ne!(run(Some(1), true).0, run(Some(2), true).0);
    assert_ne!(run(Some(1), true).0, run(None, true).0);
}

#[test]
fn merged_logits_are_those_of_the_adapter() {
    for name in ["lora", "all_linear", "rslora", "dora"] {
        let merged = tensors(&path("lora").join(name).join("merged.safetensors"));
        let golden = tensors(&path("lora").join(name).join("golden.safetensors"));
        let mut model = golden::load(&path("models/qwen2"), DType::F64);
        model.load_adapter(&path("lora").join(name), false).unwrap();
        let batch = Batch::from(&golden);
        let outputs = outputs(&model, &batch, PLAIN);
        compare_logits(&outputs, &batch, &merged["logits"]);
        let loss = golden::loss(&outputs, &batch);
        assert!(worst(&flat(loss.value()), &flat(&merged["loss"])) <= 1e-5);
    }
}

#[test]
fn norms_are_made_again_when_parameters_have_changed() {
    let mut model = golden::load(&path("models/qwen2"), DType::F32);
    model.load_adapter(&path("lora/dora"), true).unwrap();
    let batch = Batch::from(&tensors(&path("lora/dora/golden.safetensors")));
    let logits = |model: &Model| outputs(model, &batch, PLAIN).logits().unwrap().to_list().unwrap();
    let before = logits(&model);
    for parameter in model.parameters().into_iter().filter(|parameter| parameter.adapter_b) {
        let doubled = (&parameter.value * 2.0).unwrap();
        parameter.value.slice_set(&doubled, 0, 0).unwrap();
    }
    model.parameters_changed();
    let folder = tempfile::TempDir::new().unwrap();
    model.save(folder.path()).unwrap();
    let mut again = golden::load(&path("models/qwen2"), DType::F32);
    again.load_adapter(folder.path(), true).unwrap();
    assert_eq!(logits(&model), logits(&again));
    assert!(worst(&before, &logits(&model)) > 1e-3);
}
