//! The standard plugins are as they should be.

use std::collections::BTreeMap;

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

#[test]
fn every_standard_plugin_passes() {
    let notes = BTreeMap::from(NOTES);
    let mut surprises = String::new();
    for (name, _) in STANDARD {
        let options = Options { config: Some(CONFIG.into()), ..Options::default() };
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
