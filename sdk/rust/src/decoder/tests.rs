use super::*;
use crate::{Result, Settings};

fn settings(members: &str) -> Settings {
    Settings::parse(&format!(
        r#"{{"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 10{members}}}"#
    ))
    .unwrap()
}

fn close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} is not {want:?}");
}

fn table(members: &str, head_dim: u32) -> crate::RotaryTable {
    rotary_table(&settings(members), head_dim).unwrap()
}

fn error<T>(result: Result<T>) -> String {
    result.err().unwrap().message().to_owned()
}

#[test]
fn both_spellings_of_rotary_parameters_give_one_table() {
    let old = table(r#", "rope_theta": 100.0, "rope_scaling": {"type": "linear", "factor": 4.0}"#, 4);
    let new = table(r#", "rope_parameters": {"rope_theta": 100.0, "rope_type": "linear", "factor": 4.0}"#, 4);
    close(&old.inverse_frequencies, &[0.25, 0.025]);
    close(&old.inverse_frequencies, &new.inverse_frequencies);
}

#[test]
fn a_share_of_a_head_is_rotated_where_the_configuration_says_so() {
    close(&table(r#", "partial_rotary_factor": 0.5"#, 8).inverse_frequencies, &[1.0, 0.01]);
    let new = r#", "rope_parameters": {"rope_theta": 10000.0, "partial_rotary_factor": 0.25}"#;
    close(&table(new, 8).inverse_frequencies, &[1.0]);
}

#[test]
fn dynamic_scaling_stretches_nothing_within_the_positions_of_the_training_unless_alpha_is_given() {
    let dynamic = table(r#", "rope_scaling": {"type": "dynamic", "factor": 2.0}"#, 4);
    close(&dynamic.inverse_frequencies, &[1.0, 0.01]);
    let alpha = table(r#", "rope_scaling": {"type": "dynamic", "factor": 1.0, "alpha": 10.0}"#, 4);
    // 10000 * 10^(4 / 2) is a million.
    close(&alpha.inverse_frequencies, &[1.0, 0.001]);
}

#[test]
fn yarn_stretches_slow_pairs_and_raises_the_scale() {
    let yarn = table(
        r#", "rope_theta": 10000.0, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0,
            "beta_slow": 1.0, "original_max_position_embeddings": 1024}"#,
        8,
    );
    // Pair indices: 8 ln(1024 / (32 * 2 pi)) / (2 ln 10000) = 0.7069, so 0; the same with one turn 2.2120, so 3.
    let kept = [1.0, 2.0 / 3.0, 1.0 / 3.0, 0.0];
    let want: Vec<f64> = (0..4)
        .map(|i| 10f64.powi(-i))
        .zip(kept)
        .map(|(frequency, kept)| frequency * (kept + (1.0 - kept) / 4.0))
        .collect();
    close(&yarn.inverse_frequencies, &want);
    close(&[yarn.scale], &[0.1 * 4f64.ln() + 1.0]);
    let two = table(
        r#", "rope_scaling": {"type": "yarn", "factor": 4.0, "mscale": 2.0, "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 1024}"#,
        8,
    );
    close(&[two.scale], &[(0.2 * 4f64.ln() + 1.0) / (0.1 * 4f64.ln() + 1.0)]);
}

#[test]
fn longrope_divides_each_pair_by_its_short_factor() {
    let longrope = table(
        r#", "max_position_embeddings": 64, "original_max_position_embeddings": 16,
            "rope_scaling": {"type": "longrope", "short_factor": [2.0, 4.0], "long_factor": [8.0, 8.0]}"#,
        4,
    );
    close(&longrope.inverse_frequencies, &[0.5, 0.0025]);
    // sqrt(1 + ln 4 / ln 16).
    close(&[longrope.scale], &[1.5f64.sqrt()]);
}

#[test]
fn longer_sequences_have_long_factors_or_a_growing_base() {
    let longer = |members: &str| {
        let config = settings(members);
        longer_sequences(&config, &[rotary_table(&config, 4).unwrap()]).unwrap()
    };
    let none = |members: &str| assert!(longer(members).is_empty(), "{members}");
    none(r#", "max_position_embeddings": 64"#);
    none(r#", "rope_scaling": {"type": "dynamic", "factor": 2.0, "alpha": 10.0}"#);
    none(r#", "max_position_embeddings": 64, "rope_scaling": {"type": "yarn", "factor": 2.0}"#);
    let factors = r#""type": "longrope", "short_factor": [2.0, 4.0], "long_factor": [8.0, 5.0]"#;
    let longrope = r#", "max_position_embeddings": 64, "rope_scaling": {"#;
    for members in [
        format!("{longrope}{factors}, \"original_max_position_embeddings\": 16}}"),
        format!("{longrope}{factors}}}, \"original_max_position_embeddings\": 16"),
    ] {
        let [longer] = &longer(&members)[..] else { panic!("{members}") };
        assert_eq!((longer.table, longer.tokens, longer.growth), (0, 16, 0.0));
        close(&longer.inverse_frequencies, &[1.0 / 8.0, 0.01 / 5.0]);
    }
    let members = r#", "max_position_embeddings": 64, "rope_parameters": {"rope_type": "dynamic", "factor": 3.0,
        "rope_theta": 10000.0}"#;
    let [longer] = &longer(members)[..] else { panic!() };
    assert_eq!((longer.tokens, longer.growth), (64, 3.0));
    close(&longer.inverse_frequencies, &[1.0, 0.01]);
}

#[test]
fn longer_sequences_that_make_no_sense_are_named() {
    let config =
        settings(r#", "rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 8"#);
    let table = rotary_table(&config, 4).unwrap();
    let several = error(longer_sequences(&config, &[table.clone(), table.clone()]));
    assert_eq!(several, "`rope_type` is `dynamic`, which is not supported with several rotary tables");
    let config = settings(r#", "rope_scaling": {"type": "dynamic", "factor": 2.0}"#);
    assert_eq!(error(longer_sequences(&config, &[table])), "`max_position_embeddings` is missing");
}

#[test]
fn rotary_parameters_that_make_no_sense_are_named() {
    let error = |members: &str| error(rotary_table(&settings(members), 4));
    assert_eq!(
        error(r#", "rope_scaling": {"type": "spiral"}"#),
        "`rope_type` is `spiral`, and only `default`, `linear`, `dynamic`, `llama3`, `yarn` and `longrope` are supported"
    );
    assert_eq!(
        error(r#", "rope_scaling": {"type": "linear"}"#),
        "`factor` is missing from the rotary parameters"
    );
    assert_eq!(
        error(r#", "rope_scaling": {"type": "linear", "factor": 0.0}"#),
        "`factor` of the rotary parameters is 0, not above 0"
    );
    assert_eq!(
        error(
            r#", "rope_scaling": {"type": "su", "factor": 2.0, "long_factor": [1.0, 1.0],
            "short_factor": [1.0], "original_max_position_embeddings": 8}"#
        ),
        "`short_factor` of the rotary parameters is not a list of 2 numbers above 0"
    );
    assert_eq!(
        error(r#", "partial_rotary_factor": 1.5"#),
        "`partial_rotary_factor` is 1.5, not above 0 and at most 1"
    );
    assert_eq!(
        error(r#", "partial_rotary_factor": 0.25"#),
        "1 components of each head would be rotated, which is not an even number above 0"
    );
    assert_eq!(error(r#", "rope_theta": -1.0"#), "`rope_theta` is -1, not above 0");
    assert_eq!(
        error(r#", "rope_parameters": {"rope_type": "default"}"#),
        "`rope_theta` is missing from `rope_parameters`"
    );
}

#[test]
fn slopes_halve_and_those_between_powers_of_two_fill_in() {
    close(&alibi_slopes(8), &[0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
    // Of 4 heads, and then the first and the third of 8.
    close(&alibi_slopes(6), &[0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
    close(&alibi_slopes(1), &[0.00390625]);
    assert!(alibi_slopes(0).is_empty());
}

#[test]
fn sizes_that_do_not_fit_together_are_named() {
    assert_eq!(Sizes::read(&settings(""), None).unwrap().head_dim, 4);
    let error = |from: &str, to: &str| {
        let text =
            r#"{"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 10}"#;
        error(Sizes::read(&Settings::parse(&text.replace(from, to)).unwrap(), None))
    };
    assert_eq!(error("layers\": 2", "layers\": 0"), "`num_hidden_layers` is 0");
    assert_eq!(error("layers\": 2", "layers\": -2"), "`num_hidden_layers` is -2, not a whole number");
    assert_eq!(
        error("layers\": 2", "layers\": 4294967295"),
        "`num_hidden_layers` is 4294967295, which is too large"
    );
    assert_eq!(
        error("size\": 8", "size\": 9"),
        "`hidden_size` is 9, not a multiple of `num_attention_heads`, 2"
    );
    assert_eq!(
        error("\"vocab", "\"num_key_value_heads\": 0, \"vocab"),
        "`num_attention_heads` is 2, not a multiple of `num_key_value_heads`, 0"
    );
    assert_eq!(error("\"vocab", "\"head_dim\": 0, \"vocab"), "`head_dim` is 0");
}

#[test]
fn windows_and_types_of_layers_that_make_no_sense_are_named() {
    let window = |members: &str| sliding_window(&settings(members), Some(9));
    assert_eq!(window("").unwrap(), Some(9));
    assert_eq!(window(r#", "sliding_window": null"#).unwrap(), None);
    assert_eq!(error(window(r#", "sliding_window": -4"#)), "`sliding_window` is -4, not above 0");
    assert_eq!(error(window(r#", "sliding_window": 0"#)), "`sliding_window` is 0, not above 0");
    let types = |members: &str| layer_types(&settings(members), 2);
    assert_eq!(types("").unwrap(), None);
    assert_eq!(
        types(r#", "layer_types": ["sliding_attention", "full_attention"]"#).unwrap(),
        Some(vec![true, false])
    );
    assert_eq!(
        error(types(r#", "layer_types": ["full_attention"]"#)),
        "`layer_types` has 1 entries, and `num_hidden_layers` is 2"
    );
    assert_eq!(
        error(types(r#", "layer_types": ["full_attention", "chunked_attention"]"#)),
        "`layer_types` has `chunked_attention` for layer 1, which is not supported"
    );
}

#[test]
fn settings_that_are_not_implemented_are_refused_unless_they_change_nothing() {
    let neutral = [("attention_dropout", Some(0.0))];
    assert!(refuse_unless(&settings(r#", "attention_dropout": 0.0"#), &neutral).is_ok());
    assert_eq!(
        error(refuse_unless(&settings(r#", "attention_dropout": 0.1"#), &neutral)),
        "`attention_dropout` is 0.1, which is not supported"
    );
    let error =
        error(Activation::read(&settings(r#", "hidden_act": "relu2""#), "hidden_act", Activation::Silu));
    assert_eq!(
        error,
        "`hidden_act` is `relu2`, and only `silu`, `gelu` and `gelu_pytorch_tanh` are supported"
    );
}
