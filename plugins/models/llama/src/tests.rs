use super::*;

/// A configuration with the given members on top of the smallest that works.
fn config(members: &str) -> String {
    format!(
        r#"{{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 10{members}}}"#
    )
}

fn load(members: &str) -> (Architecture, Network) {
    Llama {}.load(&config(members)).unwrap()
}

fn error(members: &str) -> String {
    Llama {}.load(&config(members)).err().unwrap().message().to_owned()
}

fn parameter<'a>(architecture: &'a Architecture, name: &str) -> Option<&'a ModelParameter> {
    architecture.parameters.iter().find(|parameter| parameter.name == name)
}

#[test]
fn parameters_have_names_shapes_roles_and_stages() {
    let (architecture, _) = load("");
    let shown = |name: &str| {
        let parameter = parameter(&architecture, name).unwrap();
        (parameter.shape.clone(), parameter.role, parameter.stage)
    };
    assert_eq!(shown("model.embed_tokens.weight"), (vec![10, 8], Role::Embedding, 0));
    assert_eq!(shown("model.layers.0.self_attn.k_proj.weight"), (vec![4, 8], Role::Column, 1));
    assert_eq!(shown("model.layers.1.mlp.down_proj.weight"), (vec![8, 12], Role::Row, 2));
    assert_eq!(shown("model.norm.weight"), (vec![8], Role::Norm, 3));
    assert_eq!(shown("lm_head.weight"), (vec![10, 8], Role::Head, 3));
    assert_eq!((architecture.stages, architecture.cache_layers), (4, 2));
    assert_eq!((architecture.kv_heads, architecture.head_dim), (2, 2));
}

#[test]
fn a_tied_head_is_the_embedding_and_a_second_copy_is_ignored() {
    let (architecture, _) = load(r#", "tie_word_embeddings": true"#);
    assert_eq!(architecture.head.weight, 0);
    assert!(parameter(&architecture, "lm_head.weight").is_none());
    assert!(architecture.ignored.contains(&"lm_head.weight".to_owned()));
}

#[test]
fn biases_are_there_where_the_configuration_asks_for_them() {
    let bias = |architecture: &Architecture, part: &str| {
        parameter(architecture, &format!("model.layers.0.{part}.bias")).is_some()
    };
    let parts = ["self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj"];
    let (plain, _) = load("");
    assert_eq!(parts.map(|part| bias(&plain, part)), [false, false, false]);
    let (biased, _) = load(r#", "attention_bias": true, "mlp_bias": true"#);
    assert_eq!(parts.map(|part| bias(&biased, part)), [true, true, true]);
    let qwen2 = config("").replace("LlamaForCausalLM", "Qwen2ForCausalLM");
    let (qwen2, _) = Llama {}.load(&qwen2).unwrap();
    assert_eq!(parts.map(|part| bias(&qwen2, part)), [true, false, false]);
}

#[test]
fn windows_follow_the_family_and_the_layer_types() {
    let windows = |architecture: &str, members: &str| {
        let config = config(members).replace("LlamaForCausalLM", architecture);
        let (_, network) = Llama {}.load(&config).unwrap();
        [0, 1].map(|layer| network.config.layer(layer).0)
    };
    assert_eq!(windows("LlamaForCausalLM", r#", "sliding_window": 8"#), [None, None]);
    assert_eq!(windows("MistralForCausalLM", r#", "sliding_window": 8"#), [Some(8), Some(8)]);
    assert_eq!(windows("MistralForCausalLM", r#", "sliding_window": null"#), [None, None]);
    assert_eq!(windows("MistralForCausalLM", ""), [Some(4096), Some(4096)]);
    let qwen2 = r#", "sliding_window": 8, "max_window_layers": 1"#;
    assert_eq!(windows("Qwen2ForCausalLM", qwen2), [None, None]);
    assert_eq!(
        windows("Qwen2ForCausalLM", &format!(r#"{qwen2}, "use_sliding_window": true"#)),
        [None, Some(8)]
    );
    let types = r#", "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]"#;
    assert_eq!(windows("Qwen3ForCausalLM", types), [Some(8), None]);
}

#[test]
fn llama3_scaling_stretches_long_waves_only() {
    let scaling = r#", "rope_theta": 10000.0, "head_dim": 8, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}"#;
    let (architecture, _) = load(scaling);
    let frequencies = &architecture.rotary_tables[0].inverse_frequencies;
    // Wavelengths are 2 pi times 1, 10, 100 and 1000: kept below 8, stretched above 32.
    let expected = [1.0, 0.1 / 8.0, 0.01 / 8.0, 0.001 / 8.0];
    assert!(frequencies.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{frequencies:?}");
}

#[test]
fn what_is_not_implemented_is_named() {
    assert_eq!(
        error(r#", "hidden_act": "relu""#),
        "`hidden_act` is `relu`, and only `silu`, `gelu` and `gelu_pytorch_tanh` are supported"
    );
    assert_eq!(
        error(r#", "rope_scaling": {"type": "spiral", "factor": 4.0}"#),
        "`rope_type` is `spiral`, and only `default`, `linear`, `dynamic`, `llama3`, `yarn` and `longrope` are supported"
    );
    assert_eq!(error(r#", "attention_dropout": 0.1"#), "`attention_dropout` is 0.1, which is not supported");
    assert_eq!(
        error(r#", "quantization_config": {"bits": 4}"#),
        "`quantization_config` is set, and quantised weights are not supported"
    );
    assert_eq!(
        error(r#", "layer_types": ["full_attention", "chunked_attention"]"#),
        "`layer_types` has `chunked_attention` for layer 1, which is not supported"
    );
    let member = |architecture: &str, members: &str| {
        let config = config(members).replace("LlamaForCausalLM", architecture);
        Llama {}.load(&config).err().unwrap().message().to_owned()
    };
    assert_eq!(
        member("StableLmForCausalLM", r#", "qk_layernorm": true"#),
        "`qk_layernorm` is set, which is not supported"
    );
    assert_eq!(
        member("MiniCPMForCausalLM", r#", "sparse_config": {"topk": 64}"#),
        "`sparse_config` is set, which is not supported"
    );
    assert_eq!(
        member("SmolLM3ForCausalLM", r#", "no_rope_layers": [1]"#),
        "`no_rope_layers` has 1 entries, and `num_hidden_layers` is 2"
    );
    assert_eq!(
        member("GraniteForCausalLM", r#", "logits_scaling": 0"#),
        "`logits_scaling` is 0, not above 0"
    );
    assert_eq!(
        error(r#", "partial_rotary_factor": 0.5"#),
        "`partial_rotary_factor` is 0.5, which is not supported"
    );
    let gemma = config("").replace("Llama", "Gemma").replace("llama", "gemma");
    assert_eq!(
        Llama {}.load(&gemma).err().unwrap().message(),
        "architecture `GemmaForCausalLM` of model type `gemma` is not of the llama family"
    );
}

#[test]
fn layers_without_a_rotation_are_those_with_a_zero_or_each_fourth() {
    let rotated = |members: &str| {
        let config = config(members).replace("LlamaForCausalLM", "SmolLM3ForCausalLM");
        let (_, network) = Llama {}.load(&config.replace("layers\": 2", "layers\": 4")).unwrap();
        [0, 1, 2, 3].map(|layer| network.config.layer(layer).1)
    };
    assert_eq!(rotated(""), [true, true, true, false]);
    assert_eq!(rotated(r#", "no_rope_layer_interval": 2"#), [true, false, true, false]);
    assert_eq!(rotated(r#", "no_rope_layers": [0, 1, 1, 0, 1]"#), [false, true, true, false]);
}

#[test]
fn parameters_have_the_names_that_the_members_files_have() {
    let load = |architecture: &str, members: &str| {
        let config = config(members).replace("LlamaForCausalLM", architecture);
        Llama {}.load(&config).unwrap()
    };
    let shape = |architecture: &Architecture, name: &str| {
        parameter(architecture, name).map(|parameter| parameter.shape.clone())
    };
    let (internlm2, _) = load("InternLM2ForCausalLM", "");
    assert_eq!(shape(&internlm2, "model.layers.1.attention.wqkv.weight"), Some(vec![16, 8]));
    assert_eq!(shape(&internlm2, "model.layers.1.feed_forward.w3.weight"), Some(vec![12, 8]));
    assert_eq!(shape(&internlm2, "output.weight"), Some(vec![10, 8]));
    let (phi, _) = load("PhiForCausalLM", r#", "partial_rotary_factor": 1.0"#);
    assert_eq!(shape(&phi, "model.layers.0.mlp.fc2.bias"), Some(vec![8]));
    assert_eq!(shape(&phi, "model.final_layernorm.bias"), Some(vec![8]));
    assert_eq!(shape(&phi, "model.layers.0.post_attention_layernorm.weight"), None);
    let bias = phi.head.bias.unwrap() as usize;
    assert_eq!(phi.parameters[bias].name, "lm_head.bias");
    let (baichuan, network) = load("BaichuanForCausalLM", r#", "max_position_embeddings": 64"#);
    assert_eq!(shape(&baichuan, "model.layers.0.self_attn.W_pack.weight"), Some(vec![16, 8]));
    assert!(Llama {}.normalised_head(&network));
    let (first, network) = load("BaiChuanForCausalLM", r#", "max_position_embeddings": 64"#);
    assert_eq!(first.parameters.len(), baichuan.parameters.len());
    assert!(!Llama {}.normalised_head(&network));
}

#[test]
fn without_a_number_of_positions_baichuan_has_slopes_and_its_generation_is_that_of_its_vocabulary() {
    let config = config("").replace("LlamaForCausalLM", "BaichuanForCausalLM");
    let (architecture, second) = Llama {}.load(&config).unwrap();
    assert!(architecture.rotary_tables.is_empty());
    assert_eq!(second.config.slopes, [0.25, 0.0625, 0.015625, 0.00390625]);
    assert!(Llama {}.normalised_head(&second));
    let (_, first) = Llama {}.load(&config.replace("size\": 10", "size\": 64000")).unwrap();
    assert_eq!(first.config.slopes, second.config.slopes);
    assert!(!Llama {}.normalised_head(&first));
    let (_, llama) = load("");
    assert!(llama.config.slopes.is_empty());
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    assert_eq!(error(r#", "vocab_size": null"#), "`vocab_size` is missing");
    assert_eq!(
        error(r#", "num_key_value_heads": 3"#),
        "`num_attention_heads` is 4, not a multiple of `num_key_value_heads`, 3"
    );
}

mod members;

#[test]
fn a_model_is_known_by_its_architecture_and_else_by_its_type() {
    assert!(Llama {}.supports("Qwen3ForCausalLM", "qwen3"));
    assert!(Llama {}.supports("", "mistral"));
    assert!(!Llama {}.supports("LlamaForSequenceClassification", "llama"));
}
