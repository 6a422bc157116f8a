use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use swift_runtime::{Architecture, Head, Parameter, Role};
use swift_tensor::fused::{Dropout, dropout};
use swift_tensor::{DType, Device, Tensor, Value, normal};

use super::Adapter;

fn path(relative: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden")).join(relative)
}

fn tensors(file: PathBuf) -> BTreeMap<String, Value> {
    candle_core::safetensors::load(file, &Device::Cpu).unwrap().into_iter().collect()
}

/// The linear layers of a golden model, which is all that adapters look at.
fn architecture(weights: &BTreeMap<String, Value>) -> Architecture {
    let linear = weights.iter().filter(|(name, _)| name.ends_with("_proj.weight"));
    let parameters = linear.map(|(name, value)| Parameter {
        name: name.clone(),
        shape: value.dims().iter().map(|&size| size as u64).collect(),
        role: Role::Column,
        stage: 0,
    });
    Architecture {
        name: "linear layers".into(),
        hidden_size: 64,
        vocab_size: 320,
        stages: 1,
        parameters: parameters.collect(),
        ignored: Vec::new(),
        rotary_tables: Vec::new(),
        head: Head { weight: 0, bias: None, soft_cap: None, normalised: false },
        cache_layers: 0,
        kv_heads: 0,
        head_dim: 0,
        cached_values: None,
        untrained: Vec::new(),
        full_precision: Vec::new(),
        longest_sequence: None,
        stacks: Vec::new(),
    }
}

/// `m / |W + s B A| * (W + s B A)`, the first factor for DoRA only, is what PEFT merges.
#[test]
fn merged_weights_are_those_of_peft() {
    let weights = tensors(path("models/qwen2/model.safetensors"));
    let architecture = architecture(&weights);
    for (name, count) in [("lora", 4), ("rslora", 4), ("dora", 6), ("all_linear", 14)] {
        let folder = path("lora").join(name);
        let merged = tensors(folder.join("merged.safetensors"));
        let adapter = Adapter::read(&folder, false, &architecture, DType::F32, &Device::Cpu).unwrap();
        assert_eq!(adapter.layers.len(), count);
        for layer in &adapter.layers {
            let weight = format!("{}.weight", layer.module().name);
            let got = layer.merged(&weights[&weight], None).unwrap();
            let expected = &merged[&format!("weight.{weight}")];
            let difference = (got - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() <= 1e-6, "{name} {weight}");
        }
    }
}

/// `x W^T + b + (m / n - 1) * x' W^T + m / n * s * x' A^T B^T` with `x'` the input after dropout, as PEFT's layer has it.
#[test]
fn dora_with_dropout_is_pefts_formula() {
    let weights = tensors(path("models/qwen2/model.safetensors"));
    let architecture = architecture(&weights);
    let adapter = Adapter::read(&path("lora/dora"), false, &architecture, DType::F64, &Device::Cpu).unwrap();
    let layer = adapter.layers.first().unwrap();
    let constant = |value: &Value| Tensor::constant(value.to_dtype(DType::F64).unwrap());
    let weight = constant(&weights[&format!("{}.weight", layer.module().name)]);
    let [a, b, magnitude] = [0, 1, 2].map(|n| constant(layer.parameters().nth(n).unwrap().2));
    let x = normal(0.0, 1.0, &[7, layer.module().inputs as u64], DType::F64, 1).unwrap();
    let bias = normal(0.0, 1.0, &[layer.module().outputs as u64], DType::F64, 2).unwrap();
    let drop = Dropout { rate: 0.4, seed: 3 };
    let got = layer.forward(&x, weight.clone().into(), Some(bias.clone()), true, Some(drop)).unwrap();

    let times = |x: &Tensor, matrix: &Tensor| x.matmul(&matrix.transpose(0, 1).unwrap()).unwrap();
    let kept = dropout(&x, drop).unwrap();
    let ratio = magnitude.div(&layer.norms(&weight.clone().into(), DType::F64).unwrap()).unwrap();
    let base = times(&kept, &weight).mul(&ratio.add_scalar(-1.0).unwrap()).unwrap();
    let scale = 2.0;
    let low_rank = times(&times(&kept, &a), &b).mul(&ratio).unwrap().scale(scale).unwrap();
    let expected = times(&x, &weight).add(&bias).unwrap().add(&base).unwrap().add(&low_rank).unwrap();
    let difference = got.sub(&expected).unwrap().abs().unwrap().to_list().unwrap();
    assert!(difference.iter().all(|x| *x < 1e-12), "{difference:?}");
    assert!(
        got.sub(&layer.forward(&x, weight.into(), Some(bias), true, None).unwrap())
            .unwrap()
            .to_list()
            .unwrap()[0]
            != 0.0
    );
}
