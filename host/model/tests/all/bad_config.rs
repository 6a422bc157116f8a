//! Configurations that make no sense, or not with these weights: each is refused in one sentence that names the setting or the
//! tensor, by every definition.

use serde_json::{Value as Json, json};
use swift_tensor::DType;

use crate::families::{FAMILIES, file, load, with_config};

/// What loading a golden model says after `change` in its `config.json`.
fn refused(name: &str, plugin: &str, change: impl FnOnce(&mut Json)) -> String {
    let mut config: Json = serde_json::from_str(&file(name, "config.json")).unwrap();
    change(&mut config);
    let copy = with_config(name, &config.to_string());
    match load(copy.path(), plugin, DType::F32) {
        Ok(_) => panic!("`{name}` was loaded"),
        Err(error) => error.to_string(),
    }
}

fn has_experts(name: &str) -> bool {
    name.ends_with("_moe") || name.starts_with("deepseek") || ["gpt_oss", "mixtral"].contains(&name)
}

/// Whether a definition looks at `sliding_window`.
fn has_windows(name: &str, plugin: &str) -> bool {
    ["llama", "gpt_oss", "mixtral", "phi3"].contains(&plugin)
        || ["cohere2", "gemma2", "gemma3_text"].contains(&name)
}

#[test]
fn values_that_make_no_sense_are_refused_in_a_sentence_that_names_them() {
    const SIZES: [(&str, &str, &str); 7] = [
        ("vocab_size", "null", "`vocab_size` is missing"),
        ("hidden_size", "0", "`hidden_size` is 0"),
        ("hidden_size", "-64", "`hidden_size` is -64, not a whole number"),
        ("num_hidden_layers", "\"two\"", "`num_hidden_layers` is \"two\", not a whole number"),
        ("num_key_value_heads", "5", ", not a multiple of `num_key_value_heads`, 5"),
        ("num_key_value_heads", "0", ", not a multiple of `num_key_value_heads`, 0"),
        (
            "quantization_config",
            "{\"quant_method\": \"gptq\"}",
            "`quantization_config` is set, and quantised weights are not supported",
        ),
    ];
    for (name, plugin) in FAMILIES {
        let check = |setting: &str, value: Json, expected: &str| {
            let message = refused(name, plugin, |config| config[setting] = value);
            assert!(message.ends_with(expected), "{name}: {message}");
            assert!(!message.contains('\n'), "{name}: {message}");
        };
        for (setting, value, expected) in SIZES {
            check(setting, serde_json::from_str(value).unwrap(), expected);
        }
        if has_windows(name, plugin) {
            check("sliding_window", json!(-4), "`sliding_window` is -4, not above 0");
        }
        if has_experts(name) {
            let config: Json = serde_json::from_str(&file(name, "config.json")).unwrap();
            let names = ["n_routed_experts", "num_experts", "num_local_experts"];
            let count = names.into_iter().find(|count| config.get(count).is_some()).unwrap();
            check(count, json!(0), &format!("`{count}` is 0"));
            check(count, json!(1), &format!("more than `{count}`, 1"));
            check("num_experts_per_tok", json!(0), "`num_experts_per_tok` is 0");
        }
    }
}

#[test]
fn a_rotation_of_an_unknown_kind_is_refused_by_its_name() {
    for (name, plugin) in FAMILIES {
        let config: Json = serde_json::from_str(&file(name, "config.json")).unwrap();
        if config.get("rope_parameters").is_none() {
            // Its positions are slopes.
            continue;
        }
        let message = refused(name, plugin, |config| {
            let rotary = config["rope_parameters"].as_object_mut().unwrap();
            rotary.insert("rope_type".into(), json!("spiral"));
            for part in rotary.values_mut().filter_map(Json::as_object_mut) {
                part.insert("rope_type".into(), json!("spiral"));
            }
        });
        assert!(message.contains("`rope_type` is `spiral`, and only `default`"), "{name}: {message}");
    }
}

#[test]
fn an_activation_that_is_not_known_is_refused_by_its_name() {
    // What gpt-oss does between its matrices is fixed.
    for (name, plugin) in FAMILIES.into_iter().filter(|(name, _)| *name != "gpt_oss") {
        let setting = if plugin == "gemma" { "hidden_activation" } else { "hidden_act" };
        let message = refused(name, plugin, |config| config[setting] = json!("relu9"));
        assert!(message.contains(&format!("`{setting}` is `relu9`")), "{name}: {message}");
    }
}

/// The setting for the width inside of the feed-forward part, or of its experts.
fn inner_size(name: &str) -> &'static str {
    if name.starts_with("qwen") && name.ends_with("_moe") {
        "moe_intermediate_size"
    } else {
        "intermediate_size"
    }
}

#[test]
fn a_configuration_that_contradicts_the_weights_is_refused_by_the_name_of_a_tensor() {
    for (name, plugin) in FAMILIES {
        for (setting, value, tensor) in [
            ("num_hidden_layers", json!(1), "`model.layers.1."),
            (
                inner_size(name),
                json!(28),
                match name {
                    "mixtral" => "`model.layers.0.block_sparse_moe.",
                    "internlm2" => "`model.layers.0.feed_forward.",
                    _ => "`model.layers.0.mlp.",
                },
            ),
        ] {
            let mut config: Json = serde_json::from_str(&file(name, "config.json")).unwrap();
            config[setting] = value;
            config.as_object_mut().unwrap().remove("layer_types");
            let copy = with_config(name, &config.to_string());
            let message = load(copy.path(), plugin, DType::F32).err().unwrap().to_string();
            assert!(message.contains(tensor), "{name}: {message}");
        }
    }
}
