//! The standard plugins are as they should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use swift_check::{Options, Outcome, check};
use swift_standard_plugins::STANDARD;

use crate::{plugin, texts};

/// What is noted of standard plugins, by the beginning.
const NOTES: [(&str, &[&str]); 1] = [(
    "chat-templates",
    &["`qwen3_reranker` does not say", "`bge_reranker` leaves", "`yuan` leaves", "`dummy` leaves"],
)];

const CONFIG: &str = r#"{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 8,
    "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
    "vocab_size": 10, "attention_bias": true, "rope_theta": 100.0}"#;

/// Model plugins that do not know `CONFIG`, with the golden model that they know.
const GOLDEN: [(&str, &str); 10] = [
    ("cohere", "cohere2"),
    ("deepseek", "deepseek_v3"),
    ("gemma", "gemma2"),
    ("glm4", "glm4"),
    ("glm4_moe", "glm4_moe"),
    ("gpt_oss", "gpt_oss"),
    ("mixtral", "mixtral"),
    ("olmo2", "olmo2"),
    ("phi3", "phi3"),
    ("qwen_moe", "qwen3_moe"),
];

/// What a model plugin is checked with.
fn config(plugin: &str) -> String {
    let Some((_, model)) = GOLDEN.iter().find(|(name, _)| *name == plugin) else { return CONFIG.into() };
    let models = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/models"));
    fs::read_to_string(models.join(model).join("config.json")).unwrap()
}

#[test]
fn every_standard_plugin_passes() {
    let notes = BTreeMap::from(NOTES);
    let mut surprises = String::new();
    for (name, _) in STANDARD {
        let options = Options { config: Some(config(name)), ..Options::default() };
        let report = check(&plugin(name), &options);
        let expected = notes.get(name).copied().unwrap_or_default();
        let noted = texts(&report, Outcome::Noted);
        let as_noted = noted.len() == expected.len()
            && noted.iter().zip(expected).all(|(text, start)| text.starts_with(start));
        if !as_noted || report.count(Outcome::Failed) > 0 || report.count(Outcome::Passed) < 3 {
            surprises.push_str(&format!("{name}:\n{report}"));
        }
    }
    assert_eq!(surprises, "");
}
