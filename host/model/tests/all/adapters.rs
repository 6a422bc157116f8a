//! Adapters: initial values, names, and PEFT's files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use swift_model::{AdapterOptions, Error, Model};
use swift_runtime::Role;
use swift_tensor::DType;
use tempfile::TempDir;

use crate::golden::{self, flat, path, tensors};

pub(crate) fn options(dora: bool) -> AdapterOptions {
    AdapterOptions {
        rank: 8,
        alpha: 32.0,
        dropout: 0.0,
        rslora: false,
        dora,
        target_modules: vec!["all-linear".into()],
        target_parameters: vec![],
        seed: 42,
    }
}

/// A copy of a golden adapter, in the folder `adapter`, with `changes` in its configuration.
fn changed(name: &str, changes: &[(&str, Json)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let (from, to) = (path("lora").join(name), folder.path().join("adapter"));
    fs::create_dir(&to).unwrap();
    fs::copy(from.join("adapter_model.safetensors"), to.join("adapter_model.safetensors")).unwrap();
    let mut config = json_file(&from.join("adapter_config.json"));
    for (key, value) in changes {
        config[*key] = value.clone();
    }
    fs::write(to.join("adapter_config.json"), config.to_string()).unwrap();
    folder
}

pub(crate) fn with_dropout(name: &str, rate: f64) -> TempDir {
    changed(name, &[("lora_dropout", json!(rate))])
}

fn json_file(path: &Path) -> Json {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn base() -> Model {
    golden::load(&path("models/qwen2"), DType::F32)
}

fn attach(change: impl FnOnce(&mut AdapterOptions)) -> swift_model::Result<Model> {
    let mut model = base();
    let mut options = options(false);
    change(&mut options);
    model.attach_adapter(&options)?;
    Ok(model)
}

fn load_changed(changes: &[(&str, Json)]) -> swift_model::Result<Model> {
    let mut model = base();
    model.load_adapter(&changed("lora", changes).path().join("adapter"), true)?;
    Ok(model)
}

fn names(model: &Model) -> Vec<String> {
    model.parameters().into_iter().map(|parameter| parameter.name).collect()
}

fn values(model: &Model) -> BTreeMap<String, Vec<f64>> {
    model.parameters().into_iter().map(|parameter| (parameter.name, flat(&parameter.value))).collect()
}

#[test]
fn parameters_have_the_names_that_peft_gives_them() {
    for name in ["lora", "all_linear", "dora"] {
        let mut model = base();
        model.load_adapter(&path("lora").join(name), true).unwrap();
        let mut got = names(&model);
        got.sort();
        let expected: Vec<_> =
            tensors(&path("lora").join(name).join("adapter_model.safetensors")).into_keys().collect();
        assert_eq!(got, expected);
    }
}

#[test]
fn all_linear_means_every_linear_layer_but_the_output_projection() {
    let model = golden::load(&path("models/qwen3"), DType::F32);
    let mut model = model;
    model.attach_adapter(&options(false)).unwrap();
    let names = names(&model);
    assert_eq!(names.len(), 2 * 7 * 2);
    assert!(
        !names.iter().any(|name| name.contains("lm_head") || name.contains("norm") || name.contains("embed"))
    );
}

#[test]
fn targets_are_last_parts_of_names() {
    let targets = vec!["q_proj".into(), "layers.1.mlp.down_proj".into()];
    let model = attach(|options| options.target_modules = targets).unwrap();
    assert_eq!(
        names(&model),
        [
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
            "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight",
            "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight",
            "base_model.model.model.layers.1.mlp.down_proj.lora_A.weight",
            "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight",
        ]
    );
}

#[test]
fn an_unknown_target_is_named_with_what_there_is() {
    let error =
        attach(|options| options.target_modules = vec!["q_proj".into(), "proj".into()]).err().unwrap();
    assert_eq!(error.to_string(), "The target module `proj` is no linear layer of the model");
    let hint = error.hint().unwrap();
    assert!(hint.contains("`all-linear`") && hint.contains("`down_proj`, `gate_proj`"), "{hint}");
}

#[test]
fn the_output_projection_takes_no_adapter() {
    let mut model = golden::load(&path("models/qwen3"), DType::F32);
    let options = AdapterOptions { target_modules: vec!["lm_head".into()], ..options(false) };
    let error = model.attach_adapter(&options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The target module `lm_head` is the output projection, which takes no adapter"
    );
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |change: fn(&mut AdapterOptions)| attach(change).err().unwrap().to_string();
    assert_eq!(refused(|options| options.rank = 0), "The adapter's rank is 0");
    assert_eq!(refused(|options| options.dropout = 1.0), "The adapter's dropout is 1, which is not in 0..1");
    assert_eq!(
        refused(|options| options.target_modules.clear()),
        "The adapter's target modules are no layer at all"
    );
}

#[test]
fn a_model_takes_one_adapter_or_is_trained_as_a_whole() {
    let mut model = attach(|_| {}).unwrap();
    assert_eq!(model.train_all().unwrap_err().to_string(), "The model already has an adapter");
    assert_eq!(
        model.attach_adapter(&options(false)).unwrap_err().to_string(),
        "The model already has an adapter"
    );
    let mut model = base();
    model.train_all().unwrap();
    assert_eq!(
        model.attach_adapter(&options(false)).unwrap_err().to_string(),
        "The model already has trainable weights"
    );
}

#[test]
fn a_is_uniform_within_one_over_the_root_of_the_inputs_and_b_is_zero() {
    let model = attach(|options| options.rank = 64).unwrap();
    for parameter in model.parameters() {
        let values = flat(&parameter.value);
        if parameter.adapter_b {
            assert!(values.iter().all(|x| *x == 0.0));
            continue;
        }
        let limit = 1.0 / (parameter.value.dims()[1] as f64).sqrt();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|x| x * x).sum::<f64>() / count;
        assert!(values.iter().all(|x| x.abs() <= limit));
        assert!(mean.abs() < 4.0 * limit / (3.0 * count).sqrt(), "{}: {mean}", parameter.name);
        assert!((variance / (limit * limit / 3.0) - 1.0).abs() < 0.1, "{}: {variance}", parameter.name);
    }
}

#[test]
fn magnitudes_start_as_the_norms_of_the_rows() {
    let mut model = base();
    model.attach_adapter(&options(true)).unwrap();
    let weights = tensors(&path("models/qwen2/model.safetensors"));
    let values = values(&model);
    let rows = weights["model.layers.1.self_attn.v_proj.weight"].to_vec2::<f32>().unwrap();
    let norms = &values["base_model.model.model.layers.1.self_attn.v_proj.lora_magnitude_vector"];
    assert_eq!(norms.len(), 32);
    for (row, norm) in rows.iter().zip(norms) {
        let expected = row.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        assert!((expected - norm).abs() < 1e-6);
    }
}

#[test]
fn initial_values_depend_on_seed_and_name_alone() {
    let all = values(&attach(|_| {}).unwrap());
    let some = values(&attach(|options| options.target_modules = vec!["v_proj".into()]).unwrap());
    let other = values(&attach(|options| options.seed = 43).unwrap());
    let a = "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight";
    let k = "base_model.model.model.layers.1.self_attn.k_proj.lora_A.weight";
    assert_eq!(all[a], some[a]);
    assert_ne!(all[a], other[a]);
    assert_ne!(all[a], all[k]);
}

#[test]
fn everything_of_an_adapter_decays_and_b_is_marked() {
    let mut model = base();
    model.attach_adapter(&options(true)).unwrap();
    for parameter in model.parameters() {
        assert!(parameter.weight_decay);
        assert_eq!(parameter.adapter_b, parameter.name.ends_with("lora_B.weight"));
        assert_eq!(
            parameter.role == Role::Row,
            parameter.name.contains("o_proj") || parameter.name.contains("down")
        );
        assert_eq!(parameter.value.dtype(), DType::F32);
    }
}

#[test]
fn adapters_of_a_model_in_16_bits_are_float32() {
    for (dtype, tolerance) in [(DType::BF16, 5e-2), (DType::F16, 6e-3)] {
        let mut model = golden::load(&path("models/qwen2"), dtype);
        model.load_adapter(&path("lora/dora"), true).unwrap();
        assert!(model.parameters().iter().all(|parameter| parameter.value.dtype() == DType::F32));
        let batch = golden::Batch::from(&tensors(&path("lora/dora/golden.safetensors")));
        let loss = golden::loss(&golden::outputs(&model, &batch, golden::PLAIN), &batch);
        let expected = golden::scalar(&tensors(&path("lora/dora/golden.safetensors"))["loss"]);
        assert!((golden::scalar(loss.value()) - expected).abs() < tolerance);
        assert_eq!(golden::gradients(&model, &loss).len(), 18);
    }
}

#[test]
fn a_saved_adapter_is_what_was_loaded() {
    for name in ["lora", "all_linear", "rslora", "dora"] {
        let from = path("lora").join(name);
        let mut model = base();
        model.load_adapter(&from, true).unwrap();
        let folder = TempDir::new().unwrap();
        let to = folder.path().join("checkpoint-1");
        model.save(&to).unwrap();

        let (got, expected) = (
            tensors(&to.join("adapter_model.safetensors")),
            tensors(&from.join("adapter_model.safetensors")),
        );
        assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert!(got.values().zip(expected.values()).all(|(a, b)| a.dims() == b.dims() && flat(a) == flat(b)));

        let mut expected = json_file(&from.join("adapter_config.json"));
        expected["base_model_name_or_path"] = json!(path("models/qwen2").to_str().unwrap());
        if name == "all_linear" {
            expected["target_modules"] =
                json!(["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]);
        }
        assert_eq!(json_file(&to.join("adapter_config.json")), expected);
        assert!(to.join("additional_config.json").exists());
        let files: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files.len(), 3, "{files:?}");
    }
}

#[test]
fn targets_are_saved_as_whole_names_if_last_parts_would_select_more() {
    let model = attach(|options| options.target_modules = vec!["layers.1.mlp.down_proj".into()]).unwrap();
    let folder = TempDir::new().unwrap();
    model.save(folder.path()).unwrap();
    let config = json_file(&folder.path().join("adapter_config.json"));
    assert_eq!(config["target_modules"], json!(["model.layers.1.mlp.down_proj"]));
    assert_eq!(config["lora_alpha"], json!(32));
    let mut again = base();
    again.load_adapter(folder.path(), true).unwrap();
    assert_eq!(values(&again), values(&model));
}

#[test]
fn ranks_and_alphas_of_single_layers_are_read_and_written() {
    let model = attach(|options| options.target_modules = vec!["q_proj".into()]).unwrap();
    let folder = TempDir::new().unwrap();
    model.save(folder.path()).unwrap();
    let file = folder.path().join("adapter_config.json");
    let mut config = json_file(&file);
    config["r"] = json!(3);
    config["rank_pattern"] = json!({ "self_attn.q_proj": 8 });
    config["alpha_pattern"] = json!({ "layers.1.self_attn.q_proj": 5.5 });
    fs::write(&file, config.to_string()).unwrap();
    let mut again = base();
    again.load_adapter(folder.path(), true).unwrap();
    assert_eq!(values(&again), values(&model));
    again.save(folder.path()).unwrap();
    assert_eq!(json_file(&file)["rank_pattern"], config["rank_pattern"]);
    assert_eq!(json_file(&file)["alpha_pattern"], config["alpha_pattern"]);
}

#[test]
fn fields_that_change_the_computation_and_are_not_known_are_named() {
    let refused = |field: &str, value: Json| {
        let error = load_changed(&[(field, value.clone())]).err().unwrap();
        assert!(matches!(&error, Error::AdapterField { field: named, .. } if named == field), "{error}");
        assert!(error.to_string().contains(&format!("sets `{field}` to `{value}`")), "{error}");
    };
    refused("bias", json!("all"));
    refused("modules_to_save", json!(["lm_head"]));
    refused("fan_in_fan_out", json!(true));
    refused("layers_to_transform", json!([0]));
    refused("exclude_modules", json!(["q_proj"]));
    refused("init_lora_weights", json!("pissa"));
    refused("target_modules", json!(".*q_proj"));
    refused("rank_pattern", json!({ "layers\\.0.*": 4 }));
    refused("peft_type", json!("LOHA"));
    refused("use_something_new", json!(true));
    refused("r", json!("four"));
    load_changed(&[("use_something_new", json!(false)), ("init_lora_weights", json!("gaussian"))]).unwrap();
}

#[test]
fn an_adapter_of_another_model_is_refused_by_the_tensor_that_does_not_fit() {
    let error = load_changed(&[("r", json!(5))]).err().unwrap();
    let text = error.to_string();
    assert!(
        text.contains("q_proj.lora_A.weight") && text.contains("[4, 64] instead of [5, 64] (and 7 more)"),
        "{text}"
    );
    let error = load_changed(&[("target_modules", json!(["q_proj"]))]).err().unwrap().to_string();
    assert!(error.contains("v_proj.lora_A.weight` (and 3 more) that the model does not know"), "{error}");
    let error = load_changed(&[("use_dora", json!(true))]).err().unwrap().to_string();
    assert!(
        error.contains("lacks the tensor") && error.contains("q_proj.lora_magnitude_vector` (and 3 more)"),
        "{error}"
    );
}

#[test]
fn a_folder_without_an_adapter_is_named() {
    let error = base().load_adapter(&path("models/qwen2"), true).unwrap_err();
    assert!(error.to_string().ends_with("models/qwen2` has no `adapter_config.json`"), "{error}");
    assert!(error.hint().unwrap().contains("PEFT"));
}
