//! Folders of weights, good and bad.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use swift_model::{Error, ModelConfig, find_model_plugin, weight_files, write_tensors};
use swift_tensor::{DType, Device, Value};
use tempfile::TempDir;

use crate::golden::{flat, load, path, tensors, try_load};
use crate::native::NativeLlama;

/// A copy of a golden model.
fn copy(name: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(path("models").join(name).join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// A copy with other tensors.
fn with_tensors(change: impl FnOnce(&mut BTreeMap<String, Value>)) -> TempDir {
    let folder = copy("qwen2");
    let file = folder.path().join("model.safetensors");
    let mut tensors = tensors(&file);
    change(&mut tensors);
    write_tensors(&file, &tensors).unwrap();
    folder
}

fn error_of(folder: &Path) -> String {
    try_load(folder, DType::F32).err().unwrap().to_string()
}

fn values(folder: &Path, dtype: DType) -> BTreeMap<String, Value> {
    let mut model = load(folder, dtype);
    model.train_all().unwrap();
    model.parameters().into_iter().map(|parameter| (parameter.name, parameter.value)).collect()
}

#[test]
fn weights_are_read_as_they_are() {
    let expected = tensors(&path("models/qwen2/model.safetensors"));
    let got = values(&path("models/qwen2"), DType::F32);
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(got.values().zip(expected.values()).all(|(a, b)| a.dims() == b.dims() && flat(a) == flat(b)));
}

#[test]
fn weights_are_converted_from_any_type_on_disk_to_any_type_of_the_run() {
    let expected = tensors(&path("models/qwen2/model.safetensors"));
    for stored in [DType::F32, DType::F64, DType::BF16, DType::F16] {
        let folder = with_tensors(|tensors| {
            tensors.values_mut().for_each(|value| *value = value.to_dtype(stored).unwrap());
        });
        for dtype in [DType::F32, DType::F64, DType::BF16, DType::F16] {
            for (name, value) in values(folder.path(), dtype) {
                assert_eq!(value.dtype(), dtype);
                let expected = expected[&name].to_dtype(stored).unwrap().to_dtype(dtype).unwrap();
                assert_eq!(flat(&value), flat(&expected), "{name} {stored:?} {dtype:?}");
            }
        }
    }
}

#[test]
fn float16_weights_are_read() {
    let folder = copy("qwen2");
    let file = folder.path().join("model.safetensors");
    let halves = tensors(&file).into_iter().map(|(name, value)| (name, value.to_dtype(DType::F16).unwrap()));
    candle_core::safetensors::save(&halves.collect::<std::collections::HashMap<_, _>>(), &file).unwrap();
    let expected = tensors(&path("models/qwen2/model.safetensors"));
    let name = "model.layers.0.mlp.up_proj.weight";
    let expected = flat(&expected[name]).into_iter().map(f16::from_f64);
    let got = &values(folder.path(), DType::F32)[name];
    assert_eq!(flat(got), expected.clone().map(f64::from).collect::<Vec<_>>());
    let got = &values(folder.path(), DType::BF16)[name];
    assert_eq!(flat(got), expected.map(|x| f64::from(bf16::from_f32(x.to_f32()))).collect::<Vec<_>>());
}

#[test]
fn a_missing_tensor_is_named_with_the_number_of_others() {
    let folder = with_tensors(|tensors| {
        tensors.remove("model.norm.weight");
        tensors.remove("model.layers.1.mlp.up_proj.weight");
    });
    let error = try_load(folder.path(), DType::F32).err().unwrap();
    let text = error.to_string();
    assert!(text.ends_with("lacks the tensor `model.layers.1.mlp.up_proj.weight` (and 1 more)"), "{text}");
    assert_eq!(error.hint().unwrap(), "do the weights belong to this `config.json` or this base model?");
}

#[test]
fn an_unknown_tensor_is_named() {
    let folder = with_tensors(|tensors| {
        let bias = tensors["model.norm.weight"].clone();
        tensors.insert("model.layers.0.self_attn.o_proj.bias".into(), bias);
    });
    let error = error_of(folder.path());
    assert!(error.contains("`model.layers.0.self_attn.o_proj.bias` that the model does not know"), "{error}");
}

#[test]
fn a_tensor_that_the_architecture_ignores_may_be_there() {
    let folder = with_tensors(|tensors| {
        tensors.insert("lm_head.weight".into(), tensors["model.embed_tokens.weight"].clone());
    });
    assert!(try_load(folder.path(), DType::F32).is_ok());
}

#[test]
fn a_wrongly_shaped_tensor_is_named_with_both_shapes() {
    let folder = with_tensors(|tensors| {
        let name = "model.layers.0.mlp.up_proj.weight";
        let turned = tensors[name].t().unwrap().contiguous().unwrap();
        tensors.insert(name.into(), turned);
    });
    let error = error_of(folder.path());
    assert!(error.contains("`model.layers.0.mlp.up_proj.weight`"), "{error}");
    assert!(error.ends_with("has the shape [64, 40] instead of [40, 64]"), "{error}");
}

#[test]
fn an_integer_tensor_is_named() {
    let folder = copy("qwen2");
    let file = folder.path().join("model.safetensors");
    let mut tensors: std::collections::HashMap<_, _> = tensors(&file).into_iter().collect();
    tensors.insert("model.norm.weight".into(), Value::zeros(64, DType::I64, &Device::Cpu).unwrap());
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let error = error_of(folder.path());
    assert!(
        error.contains("`model.norm.weight`") && error.contains("`I64`, which is not supported"),
        "{error}"
    );
}

#[test]
fn a_truncated_file_is_named() {
    let folder = copy("qwen2");
    let file = folder.path().join("model.safetensors");
    let whole = fs::read(&file).unwrap();
    for length in [0, 4, 100, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let error = try_load(folder.path(), DType::F32).err().unwrap();
        assert!(matches!(&error, Error::Corrupt { path, .. } if *path == file), "{length}: {error}");
        assert!(error.to_string().contains("model.safetensors` is truncated or corrupt"), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_model_folder_must_be_there_and_be_one() {
    let error = try_load(Path::new("/nowhere/model"), DType::F32).err().unwrap();
    assert_eq!(error.to_string(), "The model folder `/nowhere/model` does not exist");
    assert!(error.hint().is_some());
    let error = error_of(&path("models/qwen2/config.json"));
    assert!(error.ends_with("models/qwen2/config.json` is not a folder"), "{error}");
    let folder = TempDir::new().unwrap();
    assert!(error_of(folder.path()).ends_with("has no `config.json`"));
    fs::copy(path("models/qwen2/config.json"), folder.path().join("config.json")).unwrap();
    assert!(error_of(folder.path()).ends_with("has no `model.safetensors`"));
}

#[test]
fn a_bad_config_is_named() {
    let folder = TempDir::new().unwrap();
    let with = |text: &str| {
        fs::write(folder.path().join("config.json"), text).unwrap();
        ModelConfig::read(folder.path()).err().unwrap().to_string()
    };
    let error = with("{\"architectures\": [");
    assert!(error.contains("config.json` is not valid: EOF") && error.contains("line 1"), "{error}");
    assert!(with("{}").ends_with("it has no entry `architectures` with a name in it"));
    assert!(with(r#"{"architectures": []}"#).ends_with("with a name in it"));
    assert!(with("[]").contains("is not valid"));
}

#[test]
fn a_config_says_what_the_model_is() {
    let config = ModelConfig::read(&path("models/llama")).unwrap();
    assert_eq!((config.architecture(), config.model_type()), ("LlamaForCausalLM", "llama"));
    assert_eq!(config.dtype(), Some(DType::F32));
    assert!(config.text().contains("rope_parameters"));
}

#[test]
fn the_first_plugin_that_supports_the_model_is_taken_and_later_ones_are_not_made() {
    let config = ModelConfig::read(&path("models/mistral")).unwrap();
    let candidate = |name: &str, good: bool| {
        let make = move || {
            if good { Ok(NativeLlama::default()) } else { panic!("made a candidate that is not needed") }
        };
        (name.to_owned(), make)
    };
    let (name, _) = find_model_plugin(&config, [candidate("one", true), candidate("two", false)]).unwrap();
    assert_eq!(name, "one");
}

#[test]
fn an_unsupported_architecture_is_named_with_the_plugins_asked() {
    let folder = TempDir::new().unwrap();
    let text = r#"{"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}"#;
    fs::write(folder.path().join("config.json"), text).unwrap();
    let config = ModelConfig::read(folder.path()).unwrap();
    let candidates = ["llama", "./mine.wasm"].map(|name| (name.to_owned(), || Ok(NativeLlama::default())));
    let error = find_model_plugin(&config, candidates).err().unwrap();
    assert_eq!(
        error.to_string(),
        "No model plugin supports the architecture `WhisperForConditionalGeneration` (model type `whisper`)"
    );
    assert_eq!(
        error.hint().unwrap(),
        "asked `llama`, `./mine.wasm`; `swift-host plugin new NAME --kind model` begins a plugin for it, \
         as docs/new-model.md tells, and `--plugin FILE` adds it"
    );
}

#[test]
fn sharded_weights_are_found_through_the_index() {
    let folder = copy("qwen3");
    let single = folder.path().join("model.safetensors");
    let all = tensors(&single);
    fs::remove_file(&single).unwrap();
    let (first, second): (BTreeMap<_, _>, BTreeMap<_, _>) =
        all.iter().partition(|(name, _)| name.contains("layers.0"));
    let mut map = serde_json::Map::new();
    for (file, part) in
        [("model-00001-of-00002.safetensors", first), ("model-00002-of-00002.safetensors", second)]
    {
        map.extend(part.keys().map(|name| ((*name).clone(), file.into())));
        let part = part.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        write_tensors(&folder.path().join(file), &part).unwrap();
    }
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();

    assert_eq!(weight_files(folder.path()).unwrap().len(), 2);
    let got = values(folder.path(), DType::F32);
    assert!(got.iter().all(|(name, value)| flat(value) == flat(&all[name])));
    assert_eq!(got.len(), all.len());
    fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    assert!(error_of(folder.path()).ends_with("has no `model-00002-of-00002.safetensors`"));
    fs::write(folder.path().join("model.safetensors.index.json"), "{}").unwrap();
    assert!(error_of(folder.path()).ends_with("index.json` is not valid: it has no entry `weight_map`"));
}

#[test]
fn the_files_of_a_model_are_its_config_and_its_weights() {
    let folder = path("models/qwen2");
    let files = ModelConfig::read(&folder).unwrap().files().unwrap();
    assert_eq!(files, [folder.join("config.json"), folder.join("model.safetensors")]);
}
