//! Products in 8 bits: which there are, and that only these change.

use std::sync::Arc;

use swift_model::{Definition, ForwardOptions, LoadOptions, Model, Result};
use swift_runtime::{Architecture, NnContext};
use swift_tensor::{DType, Device, Tensor};

use crate::families;
use crate::golden::{self, Batch, PLAIN, flat, gradients, loss, outputs, path, tensors};
use crate::native::NativeLlama;

/// A definition that wants all its products as they are.
struct Whole(NativeLlama);

impl Definition for Whole {
    fn supports(&mut self, architecture: &str, model_type: &str) -> Result<bool> {
        self.0.supports(architecture, model_type)
    }

    fn load(&mut self, config_json: &str) -> Result<Architecture> {
        let architecture = self.0.load(config_json)?;
        let full_precision = (0..architecture.parameters.len() as u32).collect();
        Ok(Architecture { full_precision, ..architecture })
    }

    fn forward(&mut self, stage: u32, input: Option<&Tensor>, context: Arc<dyn NnContext>) -> Result<Tensor> {
        self.0.forward(stage, input, context)
    }
}

fn hidden(model: &Model, batch: &Batch) -> Vec<f64> {
    flat(model.forward(&batch.tokens, PLAIN).unwrap().value())
}

#[test]
fn products_of_linear_layers_are_rounded_unless_the_definition_keeps_them() {
    let folder = path("models/qwen2");
    let batch = Batch::from(&tensors(&folder.join("golden.safetensors")));
    let mut model = golden::load(&folder, DType::BF16);
    let plain = hidden(&model, &batch);
    model.use_float8().unwrap();
    let rounded = hidden(&model, &batch);
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&mut plain.iter().zip(&rounded).map(|(a, b)| a - b)) / norm(&mut plain.iter().copied());
    assert!((1e-2..2e-1).contains(&off), "{off}");

    let options = LoadOptions { dtype: DType::BF16, device: Device::Cpu, quantisation: None };
    let mut whole = Model::load(&folder, Whole(NativeLlama::default()), &options).unwrap();
    whole.use_float8().unwrap();
    assert_eq!(hidden(&whole, &batch), plain);
}

#[test]
fn gradients_in_8_bits_are_the_same_when_stages_are_computed_again() {
    let folder = path("models/qwen2");
    let batch = Batch::from(&tensors(&folder.join("golden.safetensors")));
    let mut model = golden::load(&folder, DType::F32);
    model.train_all().unwrap();
    let of = |model: &Model, recompute| {
        let options = ForwardOptions { recompute, ..PLAIN };
        gradients(model, &loss(&outputs(model, &batch, options), &batch))
    };
    let plain = of(&model, false);
    model.use_float8().unwrap();
    let rounded = of(&model, false);
    assert_eq!(of(&model, true), rounded);
    assert!(plain.iter().all(|(name, gradient)| rounded[name] != *gradient));
}

#[test]
fn routers_are_kept_by_the_definitions_that_have_some() {
    for (name, plugin, router) in [
        ("qwen3_moe", "qwen_moe", ".mlp.gate.weight"),
        ("mixtral", "mixtral", ".block_sparse_moe.gate.weight"),
        ("deepseek_v3", "deepseek", ".mlp.gate.weight"),
        ("glm4_moe", "glm4_moe", ".mlp.gate.weight"),
        ("gpt_oss", "gpt_oss", ".mlp.router.weight"),
    ] {
        let (model, _) = families::load(&families::folder(name), plugin, DType::F32).unwrap();
        let Architecture { parameters, full_precision, .. } = model.architecture();
        let kept: Vec<&str> =
            full_precision.iter().map(|&index| parameters[index as usize].name.as_str()).collect();
        let routers =
            parameters.iter().map(|parameter| parameter.name.as_str()).filter(|name| name.ends_with(router));
        assert_eq!(kept, routers.collect::<Vec<_>>(), "{name}");
        assert!(!kept.is_empty(), "{name}");
    }
}
