//! Weights of few bits: a checkpoint of bitsandbytes, and models quantised while they are read, beside dense models whose
//! weights are what the few bits stand for.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use swift_model::{Error, LoadOptions, Model, Quantisation, write_tensors};
use swift_runtime::OutputsView;
use swift_tensor::quantised::{Matrix, int8, nf4};
use swift_tensor::{DType, Device, Value};
use tempfile::TempDir;

use crate::families;
use crate::golden::{
    self, Batch, PLAIN, compare_logits, flat, gradients, loss, outputs, path, scalar, tensors, worst,
};
use crate::native::NativeLlama;

const ALL: [Quantisation; 3] =
    [Quantisation::Nf4 { double: true }, Quantisation::Nf4 { double: false }, Quantisation::Int8];

fn load(folder: &Path, dtype: DType, quantisation: Quantisation) -> Model {
    let options = LoadOptions { dtype, device: Device::Cpu, quantisation: Some(quantisation) };
    Model::load(folder, NativeLlama::default(), &options).unwrap()
}

/// What the few bits of a matrix stand for.
fn rounded(value: &Value, quantisation: Quantisation) -> Value {
    let (rows, columns) = value.dims2().unwrap();
    let x: Vec<f32> = value.flatten_all().unwrap().to_vec1().unwrap();
    let matrix = match quantisation {
        Quantisation::Nf4 { double } => {
            let options = nf4::Options { block: 64, double };
            Matrix::Nf4(nf4::Matrix::quantise(&x, rows, columns, options).unwrap())
        }
        Quantisation::Int8 => Matrix::Int8(int8::Matrix::quantise(&x, rows, columns).unwrap()),
    };
    let mut elements = vec![0f32; rows * columns];
    matrix.dequantise(&mut elements).unwrap();
    assert!(elements.iter().zip(&x).any(|(after, before)| after != before));
    Value::from_vec(elements, (rows, columns), &Device::Cpu).unwrap()
}

/// A copy of a golden model whose linear weights have been quantised and made whole again.
fn rounded_copy(name: &str, quantisation: Quantisation) -> TempDir {
    let (from, to) = (path("models").join(name), TempDir::new().unwrap());
    fs::copy(from.join("config.json"), to.path().join("config.json")).unwrap();
    let is_linear =
        |name: &str| !name.contains("norm") && !name.contains("embed") && !name.contains("lm_head");
    let changed = tensors(&from.join("model.safetensors")).into_iter().map(|(name, value)| {
        let linear = value.rank() == 2 && is_linear(&name);
        let value = if linear { rounded(&value, quantisation) } else { value };
        (name, value)
    });
    write_tensors(&to.path().join("model.safetensors"), &changed.collect::<BTreeMap<_, _>>()).unwrap();
    to
}

#[test]
fn a_checkpoint_of_bitsandbytes_is_read_as_it_is() {
    let folder = path("nf4/qwen2_nf4");
    let golden = tensors(&folder.join("golden.safetensors"));
    let batch = Batch::from(&golden);
    // A definition learns nothing of the few bits.
    let component = families::load_quantised(&folder, "llama", None).unwrap();
    for model in [golden::load(&folder, DType::F32), component] {
        let outputs = outputs(&model, &batch, PLAIN);
        compare_logits(&outputs, &batch, &golden["logits"]);
        let difference = (scalar(loss(&outputs, &batch).value()) - scalar(&golden["loss"])).abs();
        assert!(difference <= 1e-5, "loss is off by {difference:e}");
    }
}

#[test]
fn experts_in_mxfp4_are_read_as_what_they_stand_for() {
    let folder = path("mxfp4/gpt_oss");
    let golden = tensors(&folder.join("golden.safetensors"));
    let batch = Batch::from(&golden);
    let mut model = families::load_quantised(&folder, "gpt_oss", None).unwrap();
    compare_logits(&outputs(&model, &batch, PLAIN), &batch, &golden["logits"]);
    // Once all of it has been trained it is written dense, and says so.
    model.train_all().unwrap();
    let saved = TempDir::new().unwrap();
    model.save(saved.path()).unwrap();
    let config = fs::read_to_string(saved.path().join("config.json")).unwrap();
    assert!(!config.contains("quantization_config") && config.contains("float32"), "{config}");
    let again = families::load_quantised(saved.path(), "gpt_oss", None).unwrap();
    compare_logits(&outputs(&again, &batch, PLAIN), &batch, &golden["logits"]);
}

#[test]
fn broken_experts_in_mxfp4_are_named() {
    let from = path("mxfp4/gpt_oss");
    let folder = TempDir::new().unwrap();
    fs::copy(from.join("config.json"), folder.path().join("config.json")).unwrap();
    let (name, file) = ("model.layers.1.mlp.experts.down_proj", folder.path().join("model.safetensors"));
    let scales = format!("{name}_scales");
    let refused = |change: &dyn Fn(&Value) -> Option<Value>| {
        let mut tensors: HashMap<String, Value> =
            tensors(&from.join("model.safetensors")).into_iter().collect();
        let before = tensors.remove(&scales).unwrap();
        tensors.extend(change(&before).map(|after| (scales.clone(), after)));
        candle_core::safetensors::save(&tensors, &file).unwrap();
        families::load_quantised(folder.path(), "gpt_oss", None).err().unwrap().to_string()
    };
    let message = refused(&|scales| Some(scales.narrow(1, 0, 16).unwrap().contiguous().unwrap()));
    assert!(message.contains("does not have the blocks and scales of the shape [4, 64, 32]"), "{message}");
    let message = refused(&|scales| Some((scales.zeros_like().unwrap() + 255.0).unwrap()));
    assert!(message.contains(name) && message.contains("a scale that is no number"), "{message}");
    let message = refused(&|_| None);
    assert!(message.contains(name), "{message}");
}

#[test]
fn a_model_is_quantised_to_what_bitsandbytes_makes_of_it() {
    let golden = tensors(&path("nf4/qwen2_nf4/golden.safetensors"));
    let batch = Batch::from(&golden);
    let model = load(&path("models/qwen2"), DType::F32, ALL[0]);
    let stored = golden::load(&path("nf4/qwen2_nf4"), DType::F32);
    let [got, want] = [&model, &stored].map(|model| {
        let outputs = outputs(model, &batch, PLAIN);
        flat(outputs.logits().unwrap().value())
    });
    // The mean of the magnitudes differs in its last bits, and with it a code of theirs that was near a border.
    let difference = worst(&got, &want);
    assert!(difference <= 1e-3, "logits are off by {difference:e}");
    assert_eq!(model.weight_bytes(), stored.weight_bytes());
}

#[test]
fn a_broken_quantised_weight_is_named() {
    let folder = TempDir::new().unwrap();
    let from = path("nf4/qwen2_nf4");
    fs::copy(from.join("config.json"), folder.path().join("config.json")).unwrap();
    let weight = "model.layers.1.mlp.up_proj.weight";
    for (part, message) in [
        (".quant_map", "has other values than those of `nf4`"),
        (".absmax", "Slice `scales` of `nf4` has 0 elements"),
        (".nested_quant_map", "has magnitudes that are quantised in another way"),
    ] {
        let mut tensors: HashMap<String, Value> =
            tensors(&from.join("model.safetensors")).into_iter().collect();
        tensors.remove(&format!("{weight}{part}")).unwrap();
        candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
        let error = golden::try_load(folder.path(), DType::F32).err().unwrap();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(weight) && error.to_string().contains(message), "{error}");
    }
}

/// Logits, loss and gradients of the adapter are those of a dense model with the weights that the bits stand for.
#[test]
fn an_adapter_learns_on_quantised_weights_as_on_what_they_stand_for() {
    let golden = tensors(&path("models/qwen2/golden.safetensors"));
    let batch = Batch::from(&golden);
    for quantisation in ALL {
        let dense = rounded_copy("qwen2", quantisation);
        for adapter in ["all_linear", "dora"] {
            let mut models = [
                load(&path("models/qwen2"), DType::F32, quantisation),
                golden::load(dense.path(), DType::F32),
            ];
            let [(got, got_gradients), (want, want_gradients)] = models.each_mut().map(|model| {
                model.load_adapter(&path("lora").join(adapter), true).unwrap();
                let loss = loss(&outputs(model, &batch, PLAIN), &batch);
                (scalar(loss.value()), gradients(model, &loss))
            });
            assert!((got - want).abs() <= 1e-5, "{quantisation:?} {adapter}: {got} is not {want}");
            assert!(!got_gradients.is_empty());
            for (name, want) in &want_gradients {
                let largest = want.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
                let difference = worst(&got_gradients[name], want);
                assert!(difference <= 1e-5 * largest.max(1e-2), "{quantisation:?} {name}: {difference:e}");
            }
        }
    }
}

#[test]
fn in_16_bits_a_quantised_model_is_near_the_same_in_float32() {
    let golden = tensors(&path("models/qwen2/golden.safetensors"));
    let batch = Batch::from(&golden);
    for quantisation in ALL {
        let losses = [DType::F32, DType::BF16, DType::F16].map(|dtype| {
            let model = load(&path("models/qwen2"), dtype, quantisation);
            scalar(loss(&outputs(&model, &batch, PLAIN), &batch).value())
        });
        let [bfloat16, float16] = [1, 2].map(|narrow| (losses[0] - losses[narrow]).abs());
        assert!(bfloat16 < 0.02 && float16 < 0.0025, "{quantisation:?}: {losses:?}");
    }
}

#[test]
fn experts_are_quantised_as_other_linear_layers_are() {
    let quantisation = ALL[0];
    let golden = tensors(&path("models/mixtral/golden.safetensors"));
    let batch = Batch::from(&golden);
    let dense = rounded_copy("mixtral", quantisation);
    let quantised = families::load_quantised(&path("models/mixtral"), "mixtral", Some(quantisation));
    let models = [quantised, families::load_quantised(dense.path(), "mixtral", None)];
    let mut models = models.map(|model| model.unwrap());
    let [got, want] = models.each_mut().map(|model| {
        model.attach_adapter(&crate::adapters::options(false)).unwrap();
        let loss = loss(&outputs(model, &batch, PLAIN), &batch);
        let gradients = gradients(model, &loss);
        (scalar(loss.value()), gradients)
    });
    assert!((got.0 - want.0).abs() <= 1e-5, "{} is not {}", got.0, want.0);
    for (name, want) in &want.1 {
        let difference = worst(&got.1[name], want);
        assert!(difference <= 1e-5, "{name}: {difference:e}");
    }
}

#[test]
fn quantised_weights_take_little_memory() {
    let dense = golden::load(&path("models/qwen2"), DType::F32);
    let linear: usize = 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 40);
    let rest = dense.weight_bytes() - 4 * linear;
    let bytes = |quantisation| load(&path("models/qwen2"), DType::F32, quantisation).weight_bytes() - rest;
    assert_eq!(bytes(Quantisation::Nf4 { double: false }), linear / 2 + 4 * linear / 64);
    // A number for each 256 blocks, and none of the 14 matrices has more.
    assert_eq!(bytes(Quantisation::Nf4 { double: true }), linear / 2 + linear / 64 + 14 * 4);
    assert_eq!(bytes(Quantisation::Int8), linear + 4 * 2 * (64 * 2 + 32 * 2 + 40 * 2 + 64));
}

#[test]
fn quantised_weights_are_neither_trained_nor_written() {
    let mut model = load(&path("models/qwen2"), DType::F32, ALL[0]);
    let folder = TempDir::new().unwrap();
    assert!(matches!(model.save(folder.path()), Err(Error::Frozen)));
    assert!(matches!(model.train_all(), Err(Error::Frozen)));
    model.attach_adapter(&crate::adapters::options(false)).unwrap();
    model.save(folder.path()).unwrap();
    let adapter = tensors(&folder.path().join("adapter_model.safetensors"));
    assert!(adapter.values().all(|value| flat(value).iter().all(|x| x.is_finite())));
}
