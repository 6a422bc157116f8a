use super::*;

/// A configuration with the given members on top of the smallest that works.
fn config(version: &str, members: &str) -> String {
    let model_type = match version {
        "" => "gemma",
        "2" => "gemma2",
        _ => "gemma3_text",
    };
    format!(
        r#"{{"architectures": ["Gemma{version}ForCausalLM"], "model_type": "{model_type}", "hidden_size": 8,
            "intermediate_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 4, "vocab_size": 10{members}}}"#
    )
}

fn load(version: &str, members: &str) -> (Architecture, Network) {
    Gemma {}.load(&config(version, members)).unwrap()
}

fn error(version: &str, members: &str) -> String {
    Gemma {}.load(&config(version, members)).err().unwrap().message().to_owned()
}

fn layers(version: &str, members: &str) -> Vec<(Option<u32>, u32)> {
    let (_, network) = load(version, members);
    (0..3).map(|layer| network.config.layer(layer)).collect()
}

#[test]
fn norms_after_attention_and_feed_forward_parts_are_there_from_the_second_on() {
    let has = |version: &str, part: &str| {
        let name = format!("model.layers.2.{part}.weight");
        load(version, "").0.parameters.iter().any(|parameter| parameter.name == name)
    };
    let parts = ["post_attention_layernorm", "pre_feedforward_layernorm", "self_attn.q_norm"];
    assert_eq!(parts.map(|part| has("", part)), [true, false, false]);
    assert_eq!(parts.map(|part| has("2", part)), [true, true, false]);
    assert_eq!(parts.map(|part| has("3", part)), [true, true, true]);
}

#[test]
fn heads_are_tied_unless_the_configuration_says_otherwise() {
    assert_eq!(load("", "").0.head.weight, 0);
    assert_ne!(load("", r#", "tie_word_embeddings": false"#).0.head.weight, 0);
}

#[test]
fn windows_follow_the_pattern_of_the_member_or_the_types_of_layers() {
    assert_eq!(layers("", r#", "sliding_window": 8"#), [(None, 0); 3]);
    assert_eq!(layers("2", r#", "sliding_window": 8"#), [(Some(8), 0), (None, 0), (Some(8), 0)]);
    assert_eq!(layers("2", ""), [(Some(4096), 0), (None, 0), (Some(4096), 0)]);
    assert_eq!(layers("3", r#", "sliding_window": 8"#), [(Some(8), 1); 3]);
    let pattern = r#", "sliding_window": 8, "sliding_window_pattern": 3"#;
    assert_eq!(layers("3", pattern), [(Some(8), 1), (Some(8), 1), (None, 0)]);
    let types =
        r#", "sliding_window": 8, "layer_types": ["full_attention", "sliding_attention", "full_attention"]"#;
    assert_eq!(layers("3", types), [(None, 0), (Some(8), 1), (None, 0)]);
}

#[test]
fn caps_are_those_of_the_member_unless_the_configuration_says_otherwise() {
    let caps = |version: &str, members: &str| {
        let (_, network) = load(version, members);
        (network.config.score_cap, Gemma {}.head_soft_cap(&network))
    };
    assert_eq!(caps("", ""), (None, None));
    assert_eq!(caps("2", ""), (Some(50.0), Some(30.0)));
    let none = r#", "attn_logit_softcapping": null, "final_logit_softcapping": 7.5"#;
    assert_eq!(caps("2", none), (None, Some(7.5)));
}

#[test]
fn values_that_make_no_sense_are_named() {
    assert_eq!(
        error("2", r#", "final_logit_softcapping": -1.0"#),
        "`final_logit_softcapping` is -1, not above 0"
    );
    assert_eq!(error("3", r#", "sliding_window": -8"#), "`sliding_window` is -8, not above 0");
    assert_eq!(error("3", r#", "sliding_window_pattern": 0"#), "`sliding_window_pattern` is 0");
    assert_eq!(error("2", r#", "query_pre_attn_scalar": 0"#), "`query_pre_attn_scalar` is 0, not above 0");
    assert_eq!(
        error("3", r#", "layer_types": ["full_attention"]"#),
        "`layer_types` has 1 entries, and `num_hidden_layers` is 3"
    );
    assert_eq!(
        error("3", r#", "use_bidirectional_attention": true"#),
        "`use_bidirectional_attention` is true, which is not supported"
    );
    let other = config("", "").replace("GemmaFor", "Gemma9For");
    assert_eq!(
        Gemma {}.load(&other).err().unwrap().message(),
        "architecture `Gemma9ForCausalLM` of model type `gemma` is not of the gemma family"
    );
}
