//! The contract between a model and its definition.

use std::sync::{Arc, Mutex};

use swift_model::{
    AddedLoss, Definition, Error, ForwardOptions, LoadOptions, Model, Outputs, Result, Tokens,
};
use swift_runtime::{Architecture, NnContext, OutputsView};
use swift_tensor::fused::AttentionOptions;
use swift_tensor::{DType, Device, Tensor, check_finite, no_grad};

use crate::golden::{self, Batch, PLAIN, load, outputs, path, tensors};
use crate::native::NativeLlama;

type Stage = fn(u32, Tensor, &dyn NnContext) -> swift_tensor::Result<Tensor>;

/// A definition that spoils the output of the right one.
struct Spoiled {
    inner: NativeLlama,
    change: fn(&mut Architecture),
    stage: Stage,
    calls: Arc<Mutex<Vec<u32>>>,
}

impl Definition for Spoiled {
    fn supports(&mut self, architecture: &str, model_type: &str) -> Result<bool> {
        self.inner.supports(architecture, model_type)
    }

    fn load(&mut self, config_json: &str) -> Result<Architecture> {
        let mut architecture = self.inner.load(config_json)?;
        (self.change)(&mut architecture);
        Ok(architecture)
    }

    fn forward(&mut self, stage: u32, input: Option<&Tensor>, context: Arc<dyn NnContext>) -> Result<Tensor> {
        self.calls.lock().unwrap().push(stage);
        let output = self.inner.forward(stage, input, context.clone())?;
        Ok((self.stage)(stage, output, &*context)?)
    }
}

fn spoiled(change: fn(&mut Architecture), stage: Stage) -> (Result<Model>, Arc<Mutex<Vec<u32>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let definition = Spoiled { inner: NativeLlama::default(), change, stage, calls: calls.clone() };
    let options = LoadOptions { dtype: DType::F32, device: Device::Cpu };
    (Model::load(&path("models/llama"), definition, &options), calls)
}

fn batch() -> Batch {
    Batch::from(&tensors(&path("models/llama/golden.safetensors")))
}

/// The errors of a forward pass, plain and recomputed.
fn failures(stage: Stage) -> [Error; 2] {
    [false, true].map(|recompute| {
        let mut model = spoiled(|_| {}, stage).0.unwrap();
        model.train_all().unwrap();
        model.forward(&batch().tokens, ForwardOptions { recompute, ..PLAIN }).unwrap_err()
    })
}

#[test]
fn a_wrong_shape_is_an_error_that_names_the_stage() {
    for error in failures(|stage, x, _| if stage == 1 { x.narrow(1, 0, 63) } else { Ok(x) }) {
        assert_eq!(error.to_string(), "Stage 1 of `llama` gave a `f32` [43, 63] instead of `f32` [43, 64]");
        assert!(matches!(error, Error::StageOutput { stage: 1, .. }));
    }
}

#[test]
fn a_wrong_element_type_is_an_error_that_names_the_stage() {
    for error in failures(|stage, x, _| if stage == 2 { x.cast(DType::F64) } else { Ok(x) }) {
        assert_eq!(error.to_string(), "Stage 2 of `llama` gave a `f64` [43, 64] instead of `f32` [43, 64]");
    }
}

#[test]
fn an_index_that_does_not_exist_is_named() {
    let message = |stage: Stage| failures(stage).map(|error| error.to_string());
    let expected = "invalid argument in `linear`: there is no parameter 99, the architecture has 21";
    assert_eq!(message(|_, x, context| context.linear(99, None, &x)), [expected; 2]);
    assert_eq!(message(|_, x, context| context.linear(3, Some(99), &x)).len(), 2);
    let expected = "invalid argument in `rope`: there is no rotary table 1, the architecture has 1";
    assert_eq!(message(|_, x, context| context.rope(1, &x)), [expected; 2]);
    let options = "invalid argument in `attention`: there is no layer 2, the architecture has 2";
    let attention: Stage = |_, x, context| {
        let options = AttentionOptions { scale: 1.0, window: None, soft_cap: None };
        context.attention(2, &x, &x, &x, &options)
    };
    assert_eq!(message(attention), [options; 2]);
}

#[test]
fn a_parameter_of_another_stage_is_refused() {
    let [error, _] =
        failures(|stage, x, context| if stage == 1 { context.rms_norm(19, &x, 1e-5) } else { Ok(x) });
    assert_eq!(
        error.to_string(),
        "invalid argument in `rms_norm`: the parameter `model.norm.weight` of stage 2 was used in stage 1"
    );
}

#[test]
fn an_architecture_that_contradicts_itself_is_refused() {
    let message =
        |change: fn(&mut Architecture)| spoiled(change, |_, x, _| Ok(x)).0.err().unwrap().to_string();
    let start = "The definition of `llama` is inconsistent: ";
    assert_eq!(message(|a| a.stages = 0), format!("{start}it has no stages"));
    assert_eq!(
        message(|a| a.parameters[3].stage = 7),
        format!("{start}the parameter `model.layers.0.self_attn.k_proj.weight` belongs to stage 7")
    );
    assert_eq!(
        message(|a| a.parameters[3] = a.parameters[2].clone()),
        format!("{start}it names the parameter `model.layers.0.self_attn.q_proj.weight` twice")
    );
    assert_eq!(
        message(|a| a.head.weight = 1),
        format!("{start}the head's weight is no parameter of the shape [vocab, hidden_size]")
    );
    assert_eq!(
        message(|a| a.head.bias = Some(99)),
        format!("{start}the head's bias is no parameter of the shape [vocab]")
    );
}

#[test]
fn recomputation_runs_the_stages_again_from_the_last_to_the_first() {
    let (model, calls) = spoiled(|_| {}, |_, x, _| Ok(x));
    let mut model = model.unwrap();
    model.train_all().unwrap();
    let batch = batch();
    let loss = golden::loss(&outputs(&model, &batch, ForwardOptions { recompute: true, ..PLAIN }), &batch);
    assert_eq!(*calls.lock().unwrap(), [0, 1, 2]);
    golden::gradients(&model, &loss);
    assert_eq!(*calls.lock().unwrap(), [0, 1, 2, 2, 1, 0]);
}

#[test]
fn stages_below_the_first_trained_one_are_not_recomputed() {
    let (model, calls) = spoiled(|_| {}, |_, x, _| Ok(x));
    let mut model = model.unwrap();
    let target_modules = vec!["layers.1.mlp.down_proj".into()];
    let options = swift_model::AdapterOptions { target_modules, ..crate::adapters::options(false) };
    model.attach_adapter(&options).unwrap();
    let batch = batch();
    let loss = golden::loss(&outputs(&model, &batch, ForwardOptions { recompute: true, ..PLAIN }), &batch);
    assert_eq!(golden::gradients(&model, &loss).len(), 2);
    assert_eq!(*calls.lock().unwrap(), [0, 1, 2, 2]);
}

#[test]
fn the_first_operation_that_gives_no_number_is_named() {
    let mut model =
        spoiled(|_| {}, |stage, x, _| if stage == 1 { x.scale(-1e30)?.exp()?.log() } else { Ok(x) })
            .0
            .unwrap();
    model.train_all().unwrap();
    let options = ForwardOptions { recompute: true, ..PLAIN };
    let error = check_finite(|| model.forward(&batch().tokens, options)).unwrap_err();
    assert!(
        matches!(error, Error::Tensor(swift_tensor::Error::NonFinite { op: "exp" | "log", .. })),
        "{error}"
    );
}

#[test]
fn a_batch_that_does_not_fit_is_refused() {
    let model = load(&path("models/llama"), DType::F32);
    let error = |ids: &[u32], position_ids: &[u32], lengths: &[u32]| {
        let tokens = Tokens { ids: ids.into(), position_ids: position_ids.into(), lengths: lengths.into() };
        model.forward(&tokens, PLAIN).unwrap_err().to_string()
    };
    assert_eq!(
        error(&[1, 2, 320], &[0, 1, 2], &[3]),
        "The batch has the token id 320, but the model's vocabulary has 320 tokens"
    );
    assert_eq!(
        error(&[1, 2], &[0, 1], &[3]),
        "The batch has 2 token ids, 2 positions and sequences of 3 tokens together"
    );
    assert!(error(&[1, 2], &[0], &[2]).contains("1 positions"));
    assert!(error(&[], &[], &[]).contains("0 token ids"));
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let model = load(&path("models/llama"), DType::F32);
    let hidden = model.forward(&batch().tokens, PLAIN).unwrap();
    let error = |labels: &[i64]| Outputs::new(&model, hidden.clone(), labels, &[]).err().unwrap().to_string();
    assert_eq!(error(&[-100; 42]), "The batch has 42 labels for hidden states [43, 64]");
    assert_eq!(error(&[320; 43]), "The batch has the label 320, but the model's vocabulary has 320 tokens");
    assert!(error(&[-1; 43]).contains("the label -1"));
}

#[test]
fn outputs_are_there_at_labelled_positions_and_neutral_elsewhere() {
    let model = load(&path("models/llama"), DType::F64);
    let batch = batch();
    let outputs = outputs(&model, &batch, PLAIN);
    let logps = outputs.token_logps().unwrap().to_list().unwrap();
    let predictions = outputs.predictions().unwrap().to_list().unwrap();
    let entropies = outputs.entropies().unwrap().to_list().unwrap();
    let means = outputs.mean_logits().unwrap().to_list().unwrap();
    let logits = outputs.logits().unwrap();
    let table =
        logits.log_softmax(-1).unwrap().value().to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    let logits = logits.value().to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    for (t, &label) in batch.labels.iter().enumerate() {
        if label == -100 {
            assert_eq!((logps[t], predictions[t], entropies[t], means[t]), (0.0, -1.0, 0.0, 0.0));
            continue;
        }
        assert!((logps[t] - table[t][label as usize]).abs() < 1e-5);
        let best = (0..320).max_by(|&a, &b| table[t][a].total_cmp(&table[t][b])).unwrap();
        assert_eq!(predictions[t], best as f64);
        let entropy: f64 = -table[t].iter().map(|logp| logp * logp.exp()).sum::<f64>();
        assert!((entropies[t] - entropy).abs() < 1e-5);
        assert!((means[t] - logits[t].iter().sum::<f64>() / 320.0).abs() < 1e-5);
    }
}

#[test]
fn a_batch_without_labels_has_neutral_outputs() {
    let model = load(&path("models/llama"), DType::F32);
    let hidden = model.forward(&batch().tokens, PLAIN).unwrap();
    let outputs = Outputs::new(&model, hidden, &[-100; 43], &[]).unwrap();
    assert_eq!(outputs.token_logps().unwrap().to_list().unwrap(), [0.0; 43]);
    assert_eq!(outputs.predictions().unwrap().to_list().unwrap(), [-1.0; 43]);
}

#[test]
fn outputs_without_recording_are_constants() {
    let mut model = load(&path("models/llama"), DType::F32);
    model.train_all().unwrap();
    let batch = batch();
    let outputs = no_grad(|| {
        let outputs = outputs(&model, &batch, ForwardOptions { recompute: true, ..PLAIN });
        outputs.token_logps().unwrap();
        outputs
    });
    assert!(!outputs.token_logps().unwrap().requires_grad());
    assert!(!outputs.hidden().unwrap().requires_grad());
}

#[test]
fn sequences_in_one_batch_do_not_see_each_other() {
    let model = load(&path("models/qwen3"), DType::F64);
    let together = batch();
    let logits = outputs(&model, &together, PLAIN).logits().unwrap().to_list().unwrap();
    let mut apart = Vec::new();
    let mut start = 0;
    for &length in &together.tokens.lengths {
        let range = start..start + length as usize;
        start = range.end;
        let part = Batch {
            tokens: Tokens {
                ids: together.tokens.ids[range.clone()].to_vec(),
                position_ids: together.tokens.position_ids[range.clone()].to_vec(),
                lengths: vec![length],
            },
            labels: together.labels[range].to_vec(),
            places: Vec::new(),
        };
        apart.extend(outputs(&model, &part, PLAIN).logits().unwrap().to_list().unwrap());
    }
    assert!(golden::worst(&logits, &apart) < 1e-9);
}

/// Stages hand over the mean of what they give; the last adds the sum of the products of neighbours.
fn hands_over(stage: u32, x: Tensor, context: &dyn NnContext) -> swift_tensor::Result<Tensor> {
    let means = context.handed_over("mean")?;
    assert_eq!(means.len(), stage as usize);
    assert!(context.handed_over("another")?.is_empty());
    if stage < 2 {
        context.hand_over("mean".into(), x.mean(&[0], false)?)?;
        // Not for this stage.
        assert_eq!(context.handed_over("mean")?.len(), stage as usize);
        return Ok(x);
    }
    let value = means[0].mul(&means[1])?.sum(&[], false)?;
    context.add_loss(AddedLoss::new("product".into(), value, 0.5)?)?;
    Ok(x)
}

#[test]
fn what_stages_hand_over_reaches_later_ones_with_its_gradient_and_is_computed_again_once() {
    let batch = batch();
    let learn = |recompute| {
        let (model, calls) = spoiled(|_| {}, hands_over);
        let mut model = model.unwrap();
        model.train_all().unwrap();
        let options = ForwardOptions { recompute, ..PLAIN };
        let (hidden, losses) = model.forward_to_learn(&batch.tokens, options).unwrap();
        assert_eq!((losses.len(), losses[0].weight), (1, 0.5));
        let value = losses[0].value.clone();
        // Both ways out of a stage together.
        let loss = hidden.sum(&[], false).unwrap().add(&value).unwrap();
        let gradients = golden::gradients(&model, &loss);
        (golden::scalar(value.value()), gradients, calls.lock().unwrap().clone())
    };
    let (plain, recomputed) = (learn(false), learn(true));
    assert_eq!(plain.0, recomputed.0);
    assert_eq!(plain.1, recomputed.1);
    assert_eq!((plain.2, recomputed.2), (vec![0, 1, 2], vec![0, 1, 2, 2, 1, 0]));
    let (model, _) = spoiled(|_| {}, hands_over);
    let alone = model.unwrap().forward_to_learn(&batch.tokens, PLAIN).unwrap().0;
    let without = load(&path("models/llama"), DType::F32).forward(&batch.tokens, PLAIN).unwrap();
    assert_eq!(golden::flat(alone.value()), golden::flat(without.value()));
}

#[test]
fn a_loss_of_a_model_is_a_finite_share_of_a_scalar() {
    let message = |stage: Stage| failures(stage).map(|error| error.to_string());
    let vector: Stage = |_, x, context| {
        context.add_loss(AddedLoss::new("mine".into(), x.clone(), 1.0)?)?;
        Ok(x)
    };
    assert!(message(vector)[0].contains("the loss `mine` is") && message(vector)[1].contains("no floating"));
    let weight: Stage = |_, x, context| {
        context.add_loss(AddedLoss::new("mine".into(), x.sum(&[], false)?, f64::NAN)?)?;
        Ok(x)
    };
    assert!(message(weight)[1].ends_with("the weight of the loss `mine` is NaN"));
}
