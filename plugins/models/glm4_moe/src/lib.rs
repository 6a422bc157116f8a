//! Decoders of GLM-4.5 and 4.6 (Zeng et al. 2025): attention of grouped queries that rotates half of each head, experts chosen
//! as in DeepSeek V3, an expert for every token, and a dense feed-forward part in the first layers.

use swift_plugin::decoder::{
    Decoder, Norm, NormStyle, Outline, Sizes, family, further_layers, read_config, refuse_unless,
    rotary_share,
};
use swift_plugin::mixture::{
    Attention, AttentionStyle, ExpertSizes, Feed, FeedStyle, RouterRules, SharedExpert, refuse_activation,
};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of GLM-4.5 and 4.6.
    pub struct Glm4Moe {}
}

/// The supported architectures, with their model types.
const FAMILIES: [(&str, &str); 1] = [("Glm4MoeForCausalLM", "glm4_moe")];

/// A decoder that was loaded.
pub struct Network {
    sizes: Sizes,
    feed: FeedStyle,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    feed: Feed,
}

impl Model for Glm4Moe {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, &(_, name)) = read_config(config, &FAMILIES, "GLM-4.5")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0))])?;
        refuse_activation(&config)?;
        let sizes = Sizes::read(&config, None)?;
        let experts = ExpertSizes::read(&config, &["n_routed_experts", "num_local_experts"])?;
        let rules = RouterRules::read(&config, experts, true)?;
        let norm = NormStyle::rms(&config, 1e-5)?;
        let style = AttentionStyle {
            qkv_bias: config.flag("attention_bias")?,
            o_bias: false,
            head_norms: config.flag("use_qk_norm")?.then_some(norm),
            sinks: false,
        };
        let outline = Outline {
            name: name.to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            rotary_tables: vec![rotary_share(&config, sizes.head_dim, 0.5)?],
        };
        let expert = config.size("moe_intermediate_size")?;
        let shared = config.integer("n_shared_experts")?.unwrap_or(1);
        let shared =
            (shared > 0).then(|| SharedExpert { name: "shared_experts", inner: shared * expert, gate: None });
        let (hidden, dense) = (sizes.hidden, config.size("intermediate_size")?);
        let feed = FeedStyle { hidden, dense, expert, rules, balance: None, shared };
        let first_mixed = config.integer("first_k_dense_replace")?.unwrap_or(1);
        let (mut architecture, decoder) = outline.declare(|table, index| {
            let stage = index + 1;
            let name = |part: &str| format!("model.layers.{index}.{part}");
            Layer {
                attention_norm: norm.declare(table, &name("input_layernorm"), hidden, stage),
                attention: Attention::declare(table, &sizes, style, index),
                mlp_norm: norm.declare(table, &name("post_attention_layernorm"), hidden, stage),
                feed: feed.declare(table, u64::from(index) >= first_mixed, index),
            }
        });
        architecture.ignored.extend(further_layers(&config, sizes.layers)?);
        Ok((architecture, Network { sizes, feed, decoder }))
    }

    fn untrained(&self, network: &Network) -> Vec<u32> {
        network.decoder.layers().iter().filter_map(|layer| layer.feed.untrained()).collect()
    }

    fn full_precision(&self, network: &Network) -> Vec<u32> {
        network.decoder.layers().iter().filter_map(|layer| layer.feed.full_precision()).collect()
    }

    fn stacks(&self, network: &Network) -> Vec<Stack> {
        (0..).zip(network.decoder.layers()).flat_map(|(index, layer)| layer.feed.stacks(index)).collect()
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        network.decoder.forward(stage, input, context, |index, layer, hidden| {
            let x = layer.attention_norm.apply(hidden, context);
            let hidden = hidden + layer.attention.apply(index, &x, &network.sizes, None, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            Ok(hidden + layer.feed.apply(&x, &network.feed, context)?)
        })
    }
}

export!(Glm4Moe: Model);

#[cfg(test)]
mod tests {
    use super::*;

    fn load(members: &str) -> Result<(Architecture, Network)> {
        Glm4Moe {}.load(&format!(
            r#"{{"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "hidden_size": 8, "head_dim": 8,
                "intermediate_size": 12, "moe_intermediate_size": 6, "num_attention_heads": 2, "num_key_value_heads": 1,
                "vocab_size": 10, "num_hidden_layers": 2, "num_experts_per_tok": 2{members}}}"#
        ))
    }

    #[test]
    fn half_of_each_head_is_rotated_and_the_first_layer_is_dense() {
        let (architecture, network) =
            load(r#", "n_routed_experts": 4, "num_nextn_predict_layers": 1"#).unwrap();
        assert_eq!(architecture.rotary_tables[0].inverse_frequencies.len(), 2);
        assert!(architecture.ignored.contains(&"model.layers.2.*".to_owned()));
        let shape = |name: &str| {
            let found = architecture.parameters.iter().find(|parameter| parameter.name == name);
            found.map(|parameter| parameter.shape.clone())
        };
        assert_eq!(shape("model.layers.0.mlp.gate_proj.weight"), Some(vec![12, 8]));
        assert_eq!(shape("model.layers.1.mlp.shared_experts.down_proj.weight"), Some(vec![8, 6]));
        assert_eq!(shape("model.layers.1.mlp.experts.3.up_proj.weight"), Some(vec![6, 8]));
        let untrained = Glm4Moe {}.untrained(&network);
        let [steering] = untrained[..] else { panic!("{untrained:?}") };
        assert_eq!(
            architecture.parameters[steering as usize].name,
            "model.layers.1.mlp.gate.e_score_correction_bias"
        );
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let error = |members: &str| load(members).err().unwrap().message().to_owned();
        assert_eq!(error(""), "`n_routed_experts` is missing");
        assert_eq!(
            error(r#", "n_routed_experts": 4, "n_group": 3"#),
            "`n_routed_experts` is 4, not a multiple of `n_group`, 3"
        );
    }
}
