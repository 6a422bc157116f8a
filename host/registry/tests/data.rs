//! The data are whole, and what they say of well-known models is so.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise, helpers of tests too"
)]

use std::collections::BTreeSet;
use std::path::Path;

use swift_registry::{Filter, Model, Registry};

fn registry() -> Registry {
    Registry::embedded().unwrap()
}

#[test]
fn every_model_is_somewhere_and_is_wired_somehow() {
    let registry = registry();
    assert!(registry.models().len() > 700, "{}", registry.models().len());
    for model in registry.models() {
        assert!(model.ids().next().is_some(), "{model:?}");
        assert!(model.ids().all(|id| id.split('/').count() == 2), "{model:?}");
        assert!(!model.architectures.is_empty() && !model.model_type.is_empty(), "{model:?}");
        assert!(!model.files.is_empty(), "{model:?}");
    }
}

#[test]
fn no_id_is_listed_twice() {
    let registry = registry();
    let mut seen = BTreeSet::new();
    for id in registry.models().iter().flat_map(Model::ids) {
        assert!(seen.insert(id.to_lowercase()), "`{id}` is there twice");
    }
}

#[test]
fn every_id_leads_to_its_model() {
    let registry = registry();
    for model in registry.models() {
        for id in model.ids() {
            assert_eq!(registry.find(id), Some(model));
        }
    }
}

#[test]
fn what_is_known_of_a_model_is_found_by_either_id_and_by_its_name() {
    let registry = registry();
    let model = registry.find("meta-llama/Llama-3.2-1B-Instruct").unwrap();
    assert_eq!(registry.find("LLM-Research/Llama-3.2-1B-Instruct"), Some(model));
    assert_eq!(registry.find("llama-3.2-1b-instruct"), Some(model));
    assert_eq!(model.architectures, ["LlamaForCausalLM"]);
    assert_eq!((model.family.as_str(), model.model_type.as_str()), ("llama", "llama"));
    assert_eq!(model.config_type.as_deref(), Some("llama"));
    assert_eq!(model.template.as_deref(), Some("llama3_2"));
    assert_eq!(model.dtype.as_deref(), Some("bfloat16"));
    assert_eq!(model.context_length, Some(131_072));
    assert!(model.files.iter().any(|file| file == "*.safetensors"));
    assert!(registry.find("nobody/no-such-model").is_none());
}

#[test]
fn members_of_a_family_differ_in_their_templates() {
    let registry = registry();
    let template = |id| registry.find(id).unwrap().template.clone().unwrap();
    assert_eq!(template("Qwen/Qwen2-7B-Instruct"), "qwen");
    assert_eq!(template("Qwen/Qwen2.5-7B-Instruct"), "qwen2_5");
    assert_eq!(template("Qwen/Qwen3-8B"), "qwen3");
    assert_eq!(template("google/gemma-2-9b-it"), "gemma");
    assert_eq!(template("deepseek-ai/DeepSeek-R1-Distill-Llama-8B"), "deepseek_r1");
}

#[test]
fn a_folder_is_known_by_its_name_if_its_architecture_agrees() {
    let registry = registry();
    let known = |path: &str, architecture| registry.of_folder(Path::new(path), architecture).map(Model::id);
    let id = Some("Qwen/Qwen2.5-0.5B-Instruct");
    assert_eq!(known("models/Qwen2.5-0.5B-Instruct", "Qwen2ForCausalLM"), id);
    assert_eq!(known("hub/Qwen/Qwen2___5-0___5B-Instruct", "Qwen2ForCausalLM"), id);
    let cached = "hub/models--Qwen--Qwen2.5-0.5B-Instruct/snapshots/7ae557604adf67be";
    assert_eq!(known(cached, "Qwen2ForCausalLM"), id);
    assert_eq!(known("models/Qwen2.5-0.5B-Instruct", "LlamaForCausalLM"), None);
    assert_eq!(known("output/checkpoint-100", "Qwen2ForCausalLM"), None);
}

#[test]
fn filters_narrow_down_together() {
    let registry = registry();
    let count = |filter: &Filter| registry.filter(filter).count();
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    let all = count(&Filter::default());
    assert_eq!(all, registry.models().len());
    let family = Filter { family: Some("Gemma".into()), ..Filter::default() };
    let of_family = count(&family);
    assert!(of_family > 5 && of_family < all);
    let second = Filter { model_type: Some("gemma2".into()), ..family.clone() };
    assert_eq!(count(&second), 6);
    assert_eq!(count(&Filter { text: words("27B it"), ..second }), 1);
    let wired = Filter { architecture: Some("gemma2forcausallm".into()), ..family };
    assert_eq!(count(&wired), 6);
    assert_eq!(count(&Filter { text: words("no-such-model"), ..Filter::default() }), 0);
}

#[test]
fn every_template_is_one_of_the_standard_ones() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plugins/templates/chat-templates/src/templates.json");
    let text = std::fs::read_to_string(file).unwrap();
    let templates: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    for model in registry().models() {
        let template = model.template.as_deref();
        assert!(template.is_none_or(|name| templates.contains_key(name)), "{model:?}");
    }
}
