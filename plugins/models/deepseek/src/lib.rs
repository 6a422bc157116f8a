//! Decoders of DeepSeek V2 and V3: latent attention, experts chosen within groups, experts for every token, and a dense
//! feed-forward part in the first layers.

use swift_plugin::decoder::{
    Decoder, Norm, NormStyle, Outline, Sizes, family, further_layers, read_config, refuse_unless,
    rotary_table,
};
use swift_plugin::mixture::{ExpertSizes, Feed, FeedStyle, RouterRules, SharedExpert, refuse_activation};
use swift_plugin::prelude::*;

mod attention;

use attention::{Attention, Latent};

parameters! {
    /// Decoders of DeepSeek V2 and V3.
    pub struct DeepSeek {}
}

/// The supported architectures, with their model types.
const FAMILIES: [(&str, &str); 2] =
    [("DeepseekV2ForCausalLM", "deepseek_v2"), ("DeepseekV3ForCausalLM", "deepseek_v3")];

/// A decoder that was loaded.
pub struct Network {
    latent: Latent,
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

impl Model for DeepSeek {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, &(_, name)) = read_config(config, &FAMILIES, "DeepSeek")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0)), ("moe_layer_freq", Some(1.0))])?;
        refuse_activation(&config)?;
        let third = name == "deepseek_v3";
        let mut sizes = Sizes::read(&config, None)?;
        let latent = Latent::read(&config, &sizes)?;
        // What the cache has of a token is for all heads.
        (sizes.kv_heads, sizes.head_dim) = (1, latent.cached());
        let experts = ExpertSizes::read(&config, &["n_routed_experts", "num_local_experts"])?;
        let rules = RouterRules::read(&config, experts, third)?;
        let norm = NormStyle::rms(&config, 1e-6)?;
        let mut rotary = rotary_table(&config, latent.rotated)?;
        rotary.interleaved = config.flag_or("rope_interleave", true)?;
        let outline = Outline {
            name: name.to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            rotary_tables: vec![rotary],
        };
        let expert = config.size("moe_intermediate_size")?;
        let shared = config.integer("n_shared_experts")?.unwrap_or(0);
        let shared =
            (shared > 0).then(|| SharedExpert { name: "shared_experts", inner: shared * expert, gate: None });
        let (hidden, dense) = (sizes.hidden, config.size("intermediate_size")?);
        let feed = FeedStyle { hidden, dense, expert, rules, balance: None, shared };
        let first_mixed = config.integer("first_k_dense_replace")?.unwrap_or(0);
        let (mut architecture, decoder) = outline.declare(|table, index| {
            let stage = index + 1;
            let name = |part: &str| format!("model.layers.{index}.{part}");
            Layer {
                attention_norm: norm.declare(table, &name("input_layernorm"), hidden, stage),
                attention: Attention::declare(table, &latent, hidden, index),
                mlp_norm: norm.declare(table, &name("post_attention_layernorm"), hidden, stage),
                feed: feed.declare(table, u64::from(index) >= first_mixed, index),
            }
        });
        architecture.ignored.extend(further_layers(&config, sizes.layers)?);
        Ok((architecture, Network { latent, feed, decoder }))
    }

    fn untrained(&self, network: &Network) -> Vec<u32> {
        network.decoder.layers().iter().filter_map(|layer| layer.feed.untrained()).collect()
    }

    fn full_precision(&self, network: &Network) -> Vec<u32> {
        network.decoder.layers().iter().filter_map(|layer| layer.feed.full_precision()).collect()
    }

    fn cached_values(&self, _: &Network) -> Option<u32> {
        Some(0)
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
            let hidden = hidden + layer.attention.apply(index, &x, &network.latent, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            Ok(hidden + layer.feed.apply(&x, &network.feed, context)?)
        })
    }
}

export!(DeepSeek: Model);

#[cfg(test)]
mod tests;
