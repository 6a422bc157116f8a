use super::*;

fn load(members: &str) -> Result<(Architecture, Network)> {
    DeepSeek {}.load(&format!(
        r#"{{"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "hidden_size": 8,
            "intermediate_size": 12, "moe_intermediate_size": 6, "num_attention_heads": 2, "vocab_size": 10,
            "num_hidden_layers": 2, "first_k_dense_replace": 1, "kv_lora_rank": 4, "qk_nope_head_dim": 4,
            "qk_rope_head_dim": 2, "num_experts_per_tok": 2{members}}}"#
    ))
}

#[test]
fn the_first_layers_are_dense_and_without_a_rank_queries_have_one_matrix() {
    let (architecture, network) = load(r#", "v_head_dim": 3, "n_routed_experts": 4"#).unwrap();
    let shape = |name: &str| {
        let found = architecture.parameters.iter().find(|parameter| parameter.name == name);
        found.map(|parameter| parameter.shape.clone())
    };
    assert_eq!(shape("model.layers.0.mlp.gate_proj.weight"), Some(vec![12, 8]));
    assert_eq!(shape("model.layers.1.mlp.experts.3.down_proj.weight"), Some(vec![8, 6]));
    assert_eq!(shape("model.layers.1.self_attn.q_proj.weight"), Some(vec![12, 8]));
    assert_eq!(shape("model.layers.1.self_attn.kv_b_proj.weight"), Some(vec![14, 4]));
    let names = |indices: Vec<u32>| -> Vec<_> {
        indices.into_iter().map(|index| architecture.parameters[index as usize].name.as_str()).collect()
    };
    let untrained = names(DeepSeek {}.untrained(&network));
    assert_eq!(untrained, ["model.layers.1.mlp.gate.e_score_correction_bias"]);
    assert_eq!(names(DeepSeek {}.full_precision(&network)), ["model.layers.1.mlp.gate.weight"]);
}

#[test]
fn values_that_make_no_sense_are_named() {
    let error = |members: &str| load(members).err().unwrap().message().to_owned();
    assert_eq!(
        error(r#", "v_head_dim": 7, "n_routed_experts": 4"#),
        "`v_head_dim` is 7, more than the 6 components of a key"
    );
    assert_eq!(error(r#", "v_head_dim": 3, "n_routed_experts": 0"#), "`n_routed_experts` is 0");
    assert_eq!(
        error(r#", "v_head_dim": 3, "n_routed_experts": 4, "n_group": 3"#),
        "`n_routed_experts` is 4, not a multiple of `n_group`, 3"
    );
    assert_eq!(
        error(r#", "v_head_dim": 3, "n_routed_experts": 4, "n_group": 2, "topk_group": 3"#),
        "`topk_group` is 3, not in `1` to `n_group`, 2"
    );
}
