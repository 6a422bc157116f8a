//! The standard model plugins, as components, against transformers: every family, and both spellings of `config.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use swift_model::{Definition, ForwardOptions, LoadOptions, Model, Quantisation, Result};
use swift_runtime::{Architecture, Engine, EngineOptions, Limits, ModelPlugin, NnContext, Registry, Role};
use swift_standard_plugins::STANDARD;
use swift_tensor::{DType, Device, Tensor, Value};
use tempfile::TempDir;

use crate::adapters::options;
use crate::golden::{self, Batch, PLAIN, compare, flat, outputs, path, scalar, tensors, worst};

/// Folders of golden files, and the plugins that know them.
pub(crate) const FAMILIES: [(&str, &str); 34] = [
    ("baichuan2", "llama"),
    ("baichuan2_slopes", "llama"),
    ("cohere", "cohere"),
    ("cohere2", "cohere"),
    ("deepseek_v2", "deepseek"),
    ("deepseek_v3", "deepseek"),
    ("gemma", "gemma"),
    ("gemma2", "gemma"),
    ("gemma3_text", "gemma"),
    ("glm4", "glm4"),
    ("glm4_moe", "glm4_moe"),
    ("gpt_oss", "gpt_oss"),
    ("granite", "llama"),
    ("hunyuan_dense", "llama"),
    ("internlm2", "llama"),
    ("internlm3", "llama"),
    ("llama", "llama"),
    ("llama_dynamic", "llama"),
    ("llama_tied", "llama"),
    ("minicpm", "llama"),
    ("mistral", "llama"),
    ("mixtral", "mixtral"),
    ("olmo2", "olmo2"),
    ("phi", "llama"),
    ("phi3", "phi3"),
    ("phi3_longrope", "phi3"),
    ("qwen2", "llama"),
    ("qwen2_moe", "qwen_moe"),
    ("qwen3", "llama"),
    ("qwen3_moe", "qwen_moe"),
    ("seed_oss", "llama"),
    ("smollm3", "llama"),
    ("stablelm", "llama"),
    ("starcoder2", "llama"),
];

/// A component that remembers what its first layer gave last.
struct Watched {
    plugin: ModelPlugin,
    first_layer: Arc<Mutex<Option<Tensor>>>,
}

impl Definition for Watched {
    fn supports(&mut self, architecture: &str, model_type: &str) -> Result<bool> {
        Ok(self.plugin.supports(architecture, model_type)?)
    }

    fn load(&mut self, config_json: &str) -> Result<Architecture> {
        Ok(self.plugin.load(config_json)?)
    }

    fn forward(&mut self, stage: u32, input: Option<&Tensor>, context: Arc<dyn NnContext>) -> Result<Tensor> {
        let output = self.plugin.forward(stage, input, context)?;
        if stage == 1 {
            *self.first_layer.lock().unwrap() = Some(output.clone());
        }
        Ok(output)
    }
}

/// A model of `folder`, and where the output of its first layer will be found.
pub(crate) fn load(folder: &Path, plugin: &str, dtype: DType) -> Result<(Model, Arc<Mutex<Option<Tensor>>>)> {
    load_with(folder, plugin, &LoadOptions { dtype, device: Device::Cpu, quantisation: None })
}

/// A model of `folder` in `float32`, maybe quantised.
pub(crate) fn load_quantised(
    folder: &Path,
    plugin: &str,
    quantisation: Option<Quantisation>,
) -> Result<Model> {
    let options = LoadOptions { dtype: DType::F32, device: Device::Cpu, quantisation };
    Ok(load_with(folder, plugin, &options)?.0)
}

/// A standard definition.
pub(crate) fn component(name: &str) -> ModelPlugin {
    let cache_directory = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/plugins").into());
    let engine = Engine::new(EngineOptions { cache_directory, ..Default::default() }).unwrap();
    Registry::new(engine, STANDARD).resolve(name).unwrap().model(&Limits::default()).unwrap()
}

fn load_with(
    folder: &Path,
    plugin: &str,
    options: &LoadOptions,
) -> Result<(Model, Arc<Mutex<Option<Tensor>>>)> {
    let first_layer = Arc::new(Mutex::new(None));
    let watched = Watched { plugin: component(plugin), first_layer: first_layer.clone() };
    let model = Model::load(folder, watched, options)?;
    Ok((model, first_layer))
}

pub(crate) fn folder(name: &str) -> std::path::PathBuf {
    path("models").join(name)
}

/// The golden weights with another `config.json`.
pub(crate) fn with_config(name: &str, config: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    fs::copy(folder(name).join("model.safetensors"), copy.path().join("model.safetensors")).unwrap();
    fs::write(copy.path().join("config.json"), config).unwrap();
    copy
}

pub(crate) fn file(name: &str, file: &str) -> String {
    fs::read_to_string(folder(name).join(file)).unwrap()
}

/// Compares everything that the golden file of a family has.
fn matches(name: &str, plugin: &str) {
    let golden = tensors(&folder(name).join("golden.safetensors"));
    for config in ["config.json", "config_v4.json"] {
        let copy = with_config(name, &file(name, config));
        let (mut model, first_layer) = load(copy.path(), plugin, DType::F32).unwrap();
        model.train_all().unwrap();
        compare(&model, &golden, PLAIN);
        compare_first_layer(&first_layer, &golden);
        compare(&model, &golden, ForwardOptions { recompute: true, ..PLAIN });
    }
}

/// Compares the output of the first layer for the first sequence.
fn compare_first_layer(first_layer: &Mutex<Option<Tensor>>, golden: &BTreeMap<String, Value>) {
    let expected = flat(&golden["hidden_after_layer_0"]);
    let got = flat(first_layer.lock().unwrap().take().unwrap().value());
    let largest = expected.iter().fold(1.0f64, |largest, x| largest.max(x.abs()));
    let difference = worst(&got[..expected.len()], &expected);
    assert!(difference <= 1e-4 * largest, "the first layer is off by {difference:e}");
}

#[test]
fn gemma_matches_transformers() {
    matches("gemma", "gemma");
}

#[test]
fn gemma2_with_caps_and_windows_matches_transformers() {
    matches("gemma2", "gemma");
}

#[test]
fn gemma3_with_two_rotary_tables_matches_transformers() {
    matches("gemma3_text", "gemma");
}

#[test]
fn phi3_with_fused_projections_matches_transformers() {
    matches("phi3", "phi3");
    // Of its two sequences one is rotated by the long factors.
    matches("phi3_longrope", "phi3");
}

#[test]
fn glm4_with_rotated_neighbours_matches_transformers() {
    matches("glm4", "glm4");
}

#[test]
fn olmo2_with_norms_behind_its_parts_matches_transformers() {
    matches("olmo2", "olmo2");
}

#[test]
fn mixtral_with_experts_matches_transformers() {
    matches("mixtral", "mixtral");
}

#[test]
fn qwen_with_experts_matches_transformers() {
    matches("qwen2_moe", "qwen_moe");
    matches("qwen3_moe", "qwen_moe");
}

#[test]
fn gpt_oss_with_sinks_and_stacked_experts_matches_transformers() {
    matches("gpt_oss", "gpt_oss");
}

#[test]
fn deepseek_with_latent_attention_and_groups_of_experts_matches_transformers() {
    matches("deepseek_v2", "deepseek");
    matches("deepseek_v3", "deepseek");
}

#[test]
fn glm4_with_experts_matches_transformers() {
    matches("glm4_moe", "glm4_moe");
}

#[test]
fn cohere_with_parts_side_by_side_matches_transformers() {
    matches("cohere", "cohere");
    matches("cohere2", "cohere");
}

#[test]
fn the_llama_family_matches_transformers() {
    for (name, plugin) in FAMILIES.into_iter().filter(|(_, plugin)| *plugin == "llama") {
        matches(name, plugin);
    }
}

/// A component with a limit that its model does not have.
struct Limited(ModelPlugin);

impl Definition for Limited {
    fn supports(&mut self, architecture: &str, model_type: &str) -> Result<bool> {
        Ok(self.0.supports(architecture, model_type)?)
    }

    fn load(&mut self, config_json: &str) -> Result<Architecture> {
        Ok(Architecture { longest_sequence: Some(10), ..self.0.load(config_json)? })
    }

    fn forward(&mut self, stage: u32, input: Option<&Tensor>, context: Arc<dyn NnContext>) -> Result<Tensor> {
        Ok(self.0.forward(stage, input, context)?)
    }
}

#[test]
fn sequences_that_rotary_tables_are_not_for_are_refused() {
    let options = LoadOptions { dtype: DType::F32, device: Device::Cpu, quantisation: None };
    let model = Model::load(&folder("phi"), Limited(component("llama")), &options).unwrap();
    let batch = Batch::from(&tensors(&folder("phi").join("golden.safetensors")));
    let error = model.forward(&batch.tokens, PLAIN).unwrap_err();
    assert_eq!(
        error.to_string(),
        "A sequence has 16 tokens, and the model's rotary positions are for at most 10"
    );
    assert!(error.hint().unwrap().contains("`--max-length 10`"));
}

#[test]
fn a_cap_on_logits_holds_whichever_way_a_loss_asks_for_them() {
    let golden = tensors(&folder("gemma2").join("golden.safetensors"));
    let batch = Batch::from(&golden);
    let (model, _) = load(&folder("gemma2"), "gemma", DType::F64).unwrap();
    let outputs = outputs(&model, &batch, PLAIN);
    let logits = swift_runtime::OutputsView::logits(&outputs).unwrap();
    let logps = flat(logits.log_softmax(-1).unwrap().value());
    let vocabulary = model.architecture().vocab_size as usize;
    let fused = flat(swift_runtime::OutputsView::token_logps(&outputs).unwrap().value());
    for (position, (fused, &label)) in fused.iter().zip(&batch.labels).enumerate() {
        if label >= 0 {
            assert!((fused - logps[position * vocabulary + label as usize]).abs() < 1e-12);
        }
    }
    assert!(flat(logits.value()).iter().all(|logit| logit.abs() < 0.7));
}

#[test]
fn adapters_on_every_linear_layer_get_gradients_under_the_names_of_peft() {
    for (name, plugin) in FAMILIES {
        let golden = tensors(&folder(name).join("golden.safetensors"));
        let batch = Batch::from(&golden);
        let (mut model, _) = load(&folder(name), plugin, DType::F64).unwrap();
        let parameters = &model.architecture().parameters;
        let linear = parameters.iter().filter(|parameter| matches!(parameter.role, Role::Column | Role::Row));
        let expected: BTreeSet<String> = linear
            .filter_map(|parameter| parameter.name.strip_suffix(".weight"))
            .flat_map(|name| ["A", "B"].map(|matrix| format!("base_model.model.{name}.lora_{matrix}.weight")))
            .collect();
        model.attach_adapter(&options(false)).unwrap();
        // `B` starts at zero, and with it the gradients of `A`.
        let loss = golden::loss(&outputs(&model, &batch, PLAIN), &batch);
        assert!((scalar(loss.value()) - scalar(&golden["loss"])).abs() < 1e-5, "{name}");
        let gradients = golden::gradients(&model, &loss);
        assert_eq!(gradients.keys().cloned().collect::<BTreeSet<_>>(), expected, "{name}");
        for (parameter, gradient) in &gradients {
            let moves = |gradient: &[f64]| gradient.iter().any(|x| *x != 0.0);
            // No token may have come to an expert.
            let layer = parameter.trim_start_matches("base_model.model.").split(".lora_").next().unwrap();
            let reached = moves(&flat(&golden[&format!("grad.{layer}.weight")]));
            assert_eq!(moves(gradient), reached && parameter.contains("lora_B"), "{name}: {parameter}");
        }
    }
    let (model, _) = load(&folder("phi3"), "phi3", DType::F32).unwrap();
    let names: Vec<&str> =
        model.architecture().parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert!(names.contains(&"model.layers.0.self_attn.qkv_proj.weight"));
    assert!(names.contains(&"model.layers.0.mlp.gate_up_proj.weight"));
}
