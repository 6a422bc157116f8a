//! Adapters on every linear layer of every family learn, and are the same when they were saved and read again.

use swift_model::{AdapterOptions, MergeOptions, Model, merge_adapter};
use swift_runtime::{OutputsView, Role};
use swift_tensor::{AdamW, AdamWState, DType, adamw_step, backward};
use tempfile::TempDir;

use crate::adapters::options;
use crate::families::{FAMILIES, component, folder, load};
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

#[test]
fn adapters_on_everything_learn_and_are_read_and_merged_as_they_were_written() {
    for (name, plugin) in FAMILIES {
        let batch = Batch::from(&tensors(&folder(name).join("golden.safetensors")));
        let (mut model, _) = load(&folder(name), plugin, DType::F32).unwrap();
        let options = everything(&model);
        model.attach_adapter(&options).unwrap();
        let losses = train(&model, &batch);
        assert!(losses[STEPS as usize] < losses[0], "{name}: {losses:?}");
        let expected = logits(&model, &batch);
        let saved = TempDir::new().unwrap();
        model.save(saved.path()).unwrap();
        let (mut again, _) = load(&folder(name), plugin, DType::F32).unwrap();
        again.load_adapter(saved.path(), false).unwrap();
        assert_eq!(logits(&again, &batch), expected, "{name}");
        let merged = saved.path().join("merged");
        merge_adapter(&folder(name), saved.path(), component(plugin), &merged, &MergeOptions::default())
            .unwrap();
        let (merged, _) = load(&merged, plugin, DType::F32).unwrap();
        let difference = worst(&logits(&merged, &batch), &expected);
        assert!(difference < 1e-4, "{name}: {difference:e}");
    }
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
