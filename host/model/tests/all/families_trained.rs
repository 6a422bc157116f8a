//! Adapters on every linear layer of every family learn, and are the same when they were saved and read again.

use swift_model::{AdapterOptions, MergeOptions, Model, merge_adapter};
use swift_runtime::{OutputsView, Role};
use swift_tensor::{AdamW, AdamWState, DType, adamw_step, backward};
use tempfile::TempDir;

use crate::adapters::options;
use crate::families::{FAMILIES, component, folder, load};
use crate::generation::{Sequence, in_steps, whole};
use crate::golden::{Batch, Gradients, PLAIN, loss, outputs, scalar, tensors, worst};

const STEPS: u64 = 6;

/// Adapters on all linear layers, and on all stacks of such.
fn everything(model: &Model) -> AdapterOptions {
    let stacks =
        model.architecture().parameters.iter().filter(|parameter| {
            parameter.shape.len() == 3 && matches!(parameter.role, Role::Column | Role::Row)
        });
    let target_parameters = stacks.map(|parameter| parameter.name.clone()).collect();
    AdapterOptions { rank: 4, alpha: 8.0, target_parameters, ..options(false) }
}

/// Some steps on one batch; the losses before each and after the last.
fn train(model: &Model, batch: &Batch) -> Vec<f64> {
    let parameters = model.parameters();
    let mut states: Vec<_> =
        parameters.iter().map(|parameter| AdamWState::new(&parameter.value).unwrap()).collect();
    let constants = AdamW { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };
    let mut losses = Vec::new();
    for step in 1..=STEPS {
        let loss = loss(&outputs(model, batch, PLAIN), batch);
        losses.push(scalar(loss.value()));
        let mut gradients = Gradients::default();
        backward(&loss, &mut gradients).unwrap();
        for (parameter, state) in parameters.iter().zip(&mut states) {
            let gradient = gradients.0.remove(&parameter.id).unwrap();
            adamw_step(&parameter.value, &gradient, state, 1e-2, 0.0, step, 1.0, &constants).unwrap();
        }
        model.parameters_changed();
    }
    losses.push(scalar(loss(&outputs(model, batch, PLAIN), batch).value()));
    losses
}

fn logits(model: &Model, batch: &Batch) -> Vec<f64> {
    outputs(model, batch, PLAIN).logits().unwrap().to_list().unwrap()
}

/// That an adapter learns, and is the same when it was saved and read again, merged, or served.
fn learns(name: &str, plugin: &str, options: &AdapterOptions) {
    let batch = Batch::from(&tensors(&folder(name).join("golden.safetensors")));
    let (mut model, _) = load(&folder(name), plugin, DType::F32).unwrap();
    model.attach_adapter(options).unwrap();
    let losses = train(&model, &batch);
    assert!(losses[STEPS as usize] < losses[0], "{name}: {losses:?}");
    let expected = logits(&model, &batch);
    let saved = TempDir::new().unwrap();
    model.save(saved.path()).unwrap();
    let (mut again, _) = load(&folder(name), plugin, DType::F32).unwrap();
    let adapter = again.read_adapter(saved.path()).unwrap();
    let (tokens, rest) = batch.tokens.ids.split_at(batch.tokens.lengths[0] as usize);
    let sequences = [(tokens, Some(&adapter)), (rest, None)]
        .map(|(ids, adapter)| Sequence { ids: ids.to_vec(), adapter });
    let mut served = in_steps(&again, &sequences, 5, tokens.len());
    again.load_adapter(saved.path(), false).unwrap();
    assert_eq!(logits(&again, &batch), expected, "{name}");
    let difference = worst(&served.swap_remove(0), &whole(&again, tokens));
    assert!(difference < 1e-4, "{name} served: {difference:e}");
    let merged = saved.path().join("merged");
    merge_adapter(&folder(name), saved.path(), component(plugin), &merged, &MergeOptions::default()).unwrap();
    let (merged, _) = load(&merged, plugin, DType::F32).unwrap();
    let difference = worst(&logits(&merged, &batch), &expected);
    assert!(difference < 1e-4, "{name} merged: {difference:e}");
}

#[test]
fn adapters_on_everything_learn_and_are_read_merged_and_served_as_they_were_written() {
    for (name, plugin) in FAMILIES {
        let (model, _) = load(&folder(name), plugin, DType::F32).unwrap();
        learns(name, plugin, &everything(&model));
    }
}

#[test]
fn adapters_on_stacks_that_files_have_apart_are_one_for_all_experts() {
    let mut stacked = 0;
    for (name, plugin) in FAMILIES {
        let (mut model, _) = load(&folder(name), plugin, DType::F32).unwrap();
        let stacks = model.architecture().stacks.clone();
        if stacks.is_empty() {
            continue;
        }
        let target_parameters = ["experts.gate_up_proj".to_owned(), "experts.down_proj".to_owned()].to_vec();
        let options = AdapterOptions { target_parameters, ..everything(&model) };
        learns(name, plugin, &options);
        model.attach_adapter(&options).unwrap();
        let parameters = model.parameters();
        // One `A` for both halves of the gates of all experts, and none for one expert.
        let of_experts = |end: &str| {
            let end = format!(".mlp.experts{end}");
            parameters.iter().filter(|parameter| parameter.name.ends_with(&end)).count()
        };
        let layers = stacks.iter().filter(|stack| stack.name.ends_with(".gate_up_proj")).count();
        assert_eq!(of_experts(".base_layer.lora_A.weight"), layers, "{name}");
        assert_eq!(of_experts(".lora_B.weight"), layers, "{name}");
        assert!(!parameters.iter().any(|parameter| parameter.name.contains("experts.0")), "{name}");
        stacked += 1;
    }
    assert_eq!(stacked, 6);
}

#[test]
fn target_parameters_that_are_none_or_cannot_be_so_are_refused() {
    let refused = |change: fn(&mut AdapterOptions)| {
        let (mut model, _) = load(&folder("gpt_oss"), "gpt_oss", DType::F32).unwrap();
        let mut options = everything(&model);
        change(&mut options);
        model.attach_adapter(&options).unwrap_err()
    };
    let error = refused(|options| options.target_parameters = vec!["experts.up_proj".into()]);
    assert_eq!(
        error.to_string(),
        "The target parameter `experts.up_proj` is no weight of a linear layer of the model"
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("`experts.down_proj`, `experts.gate_up_proj`"), "{hint}");
    let error = refused(|options| options.dropout = 0.05);
    assert_eq!(error.to_string(), "The adapter's dropout is 0.05, and target parameters have none");
    let error = refused(|options| options.dora = true);
    assert_eq!(
        error.to_string(),
        "The adapter's weights are decomposed (DoRA), and target parameters are not"
    );
}
