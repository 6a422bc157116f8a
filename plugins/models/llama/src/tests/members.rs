//! Members without reference files, against what they are equal to: other members with other weights, or formulas by hand.

use swift_plugin::testing::{Tokens, forward};

use super::*;

/// Elements that follow from the name, about as large as those of trained models.
fn elements(parameter: &ModelParameter) -> Vec<f64> {
    let seed =
        parameter.name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let count = parameter.shape.iter().product::<u64>();
    (0..count).map(|i| ((seed % 1000 + 13 * i) as f64).sin() * 0.7).collect()
}

/// Logits of a member, with the elements of each parameter times `factor` of its name.
fn logits(architecture: &str, members: &str, ids: &[u32], factor: impl Fn(&str) -> f64) -> Vec<f64> {
    let config = config(members).replace("LlamaForCausalLM", architecture);
    let tokens = Tokens { ids: ids.to_vec(), lengths: vec![ids.len() as u32] };
    let logits = forward(&Llama {}, &config, &tokens, |parameter| {
        let factor = factor(&parameter.name);
        Ok(elements(parameter).into_iter().map(|x| x * factor).collect())
    });
    logits.unwrap().to_list().unwrap()
}

fn close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-10, "{worst:e}");
}

const IDS: [u32; 5] = [3, 1, 4, 1, 5];

#[test]
fn granites_multipliers_are_factors_on_matrices_of_llama() {
    let multipliers = r#", "embedding_multiplier": 3.0, "residual_multiplier": 0.25, "attention_multiplier": 0.5,
        "logits_scaling": 4.0"#;
    let granite = logits("GraniteForCausalLM", multipliers, &IDS, |_| 1.0);
    let llama = logits("LlamaForCausalLM", "", &IDS, |name| match name {
        "model.embed_tokens.weight" => 3.0,
        "lm_head.weight" => 0.25,
        name if name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") => 0.25,
        // Heads have two components.
        name if name.ends_with("q_proj.weight") => 0.5 * 2f64.sqrt(),
        _ => 1.0,
    });
    close(&granite, &llama);
}

#[test]
fn minicpms_scales_are_factors_on_matrices_of_llama() {
    let scales =
        r#", "tie_word_embeddings": false, "scale_emb": 12.0, "scale_depth": 1.4, "dim_model_base": 4"#;
    let minicpm = logits("MiniCPMForCausalLM", scales, &IDS, |_| 1.0);
    let llama = logits("LlamaForCausalLM", "", &IDS, |name| match name {
        "model.embed_tokens.weight" => 12.0,
        "lm_head.weight" => 0.5,
        name if name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") => 1.4 / 2f64.sqrt(),
        _ => 1.0,
    });
    close(&minicpm, &llama);
}

#[test]
fn norms_before_and_after_the_rotation_are_equal_where_their_weights_are() {
    let logits = |architecture: &str, uniform: bool| {
        let config = config(r#", "head_dim": 4"#).replace("LlamaForCausalLM", architecture);
        let tokens = Tokens { ids: IDS.to_vec(), lengths: vec![IDS.len() as u32] };
        let logits = forward(&Llama {}, &config, &tokens, |parameter| {
            let name = parameter.name.replace("query_layernorm", "q_norm").replace("key_layernorm", "k_norm");
            match name.contains("self_attn.q_norm") || name.contains("self_attn.k_norm") {
                true if uniform => Ok(vec![0.7; 4]),
                true => Ok(vec![0.3, -0.8, 1.1, 0.5]),
                false => Ok(elements(parameter)),
            }
        });
        logits.unwrap().to_list().unwrap()
    };
    close(&logits("HunYuanDenseV1ForCausalLM", true), &logits("Qwen3ForCausalLM", true));
    let apart = logits("HunYuanDenseV1ForCausalLM", false);
    let worst =
        apart.iter().zip(logits("Qwen3ForCausalLM", false)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst > 1e-3, "{worst:e}");
}

#[test]
fn layers_without_a_rotation_do_not_know_where_tokens_are() {
    // The second layer does nothing, and the last token sees those before it in the first as a set unless that rotates.
    let last = |list: &str, ids: &[u32; 3]| {
        let members = format!(r#", "tie_word_embeddings": false, "no_rope_layers": {list}"#);
        let factor = |name: &str| if name.contains("layers.1.") { 0.0 } else { 1.0 };
        logits("SmolLM3ForCausalLM", &members, ids, factor).split_off(10 * 2)
    };
    let (one, other) = ([3, 7, 5], [7, 3, 5]);
    close(&last("[0, 1]", &one), &last("[0, 1]", &other));
    let moved = last("[1, 0]", &one).into_iter().zip(last("[1, 0]", &other));
    assert!(moved.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) > 1e-4);
}

/// What a model of one layer gives for a single token, which attends to itself alone, by hand. `gate` is there if the
/// feed-forward part has one.
fn by_hand(parameters: &[ModelParameter], gated: bool) -> Vec<f64> {
    let of = |name: &str| {
        let found = parameters.iter().find(|parameter| parameter.name == name);
        found.map(|parameter| (elements(parameter), parameter.shape.clone()))
    };
    let norm = |x: &[f64], name: &str| -> Vec<f64> {
        let (mean, count) = (x.iter().sum::<f64>() / x.len() as f64, x.len() as f64);
        let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count + 1e-5).sqrt();
        let (weight, bias) =
            (of(&format!("{name}.weight")).unwrap().0, of(&format!("{name}.bias")).unwrap().0);
        x.iter().zip(weight).zip(bias).map(|((x, w), b)| (x - mean) / deviation * w + b).collect()
    };
    let linear = |x: &[f64], name: &str| -> Vec<f64> {
        let (weight, shape) = of(&format!("{name}.weight")).unwrap();
        let bias = of(&format!("{name}.bias")).map_or(vec![0.0; shape[0] as usize], |bias| bias.0);
        let rows = weight.chunks(shape[1] as usize).zip(bias);
        rows.map(|(row, bias)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias).collect()
    };
    let add = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
    let hidden: Vec<f64> = of("model.embed_tokens.weight").unwrap().0[8 * 3..8 * 4].to_vec();
    let x = norm(&hidden, "model.layers.0.input_layernorm");
    let v = linear(&x, "model.layers.0.self_attn.v_proj");
    let hidden = add(hidden, linear(&v, "model.layers.0.self_attn.o_proj"));
    let x = norm(&hidden, "model.layers.0.post_attention_layernorm");
    let output = if gated {
        let silu = |x: &f64| x / (1.0 + (-x).exp());
        let gate = linear(&x, "model.layers.0.mlp.gate_proj");
        let up = linear(&x, "model.layers.0.mlp.up_proj");
        let active: Vec<f64> = gate.iter().zip(up).map(|(gate, up)| silu(gate) * up).collect();
        linear(&active, "model.layers.0.mlp.down_proj")
    } else {
        let gelu = |x: &f64| {
            0.5 * x * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        };
        let active: Vec<f64> = linear(&x, "model.layers.0.mlp.c_fc").iter().map(gelu).collect();
        linear(&active, "model.layers.0.mlp.c_proj")
    };
    linear(&norm(&add(hidden, output), "model.norm"), "lm_head")
}

#[test]
fn starcoder2_and_stablelm_norm_with_means_and_biases() {
    for (architecture, gated) in [("Starcoder2ForCausalLM", false), ("StableLmForCausalLM", true)] {
        let members = r#", "tie_word_embeddings": false, "use_qkv_bias": true, "partial_rotary_factor": 1.0"#;
        let config = config(members).replace("LlamaForCausalLM", architecture);
        let config =
            config.replace("layers\": 2", "layers\": 1").replace("value_heads\": 2", "value_heads\": 4");
        let (architecture, _) = Llama {}.load(&config).unwrap();
        let tokens = Tokens { ids: vec![3], lengths: vec![1] };
        let logits = forward(&Llama {}, &config, &tokens, |parameter| Ok(elements(parameter)));
        close(&logits.unwrap().to_list().unwrap(), &by_hand(&architecture.parameters, gated));
    }
}
