//! Decoders of DeepSeek V2 and V3: latent attention, experts chosen within groups, experts for every token, and a dense
//! feed-forward part in the first layers.

use swift_plugin::decoder::{
    Activation, Decoder, FeedForward, Norm, NormStyle, Outline, Sizes, family, read_config, refuse_unless,
    rotary_table,
};
use swift_plugin::mixture::{ExpertSizes, Experts, refuse_activation};
use swift_plugin::prelude::*;

mod attention;
mod router;

use attention::{Attention, Latent};
use router::{Router, Rules};

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
    rules: Rules,
    /// Parameters that steer the choice of experts, which no gradient reaches.
    untrained: Vec<u32>,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    feed: Feed,
}

enum Feed {
    Dense(FeedForward),
    /// The router, the experts, and the experts of all tokens as one.
    Mixture(Router, Experts, Option<FeedForward>),
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
        let rules = Rules::read(&config, experts, third)?;
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
        let (inner, expert_inner) =
            (config.size("intermediate_size")?, config.size("moe_intermediate_size")?);
        let shared = config.integer("n_shared_experts")?.filter(|&count| count > 0);
        let dense = config.integer("first_k_dense_replace")?.unwrap_or(0);
        let (mut architecture, decoder) = outline.declare(|table, index| {
            let (stage, hidden) = (index + 1, sizes.hidden);
            let name = |part: &str| format!("model.layers.{index}.{part}");
            let feed = if u64::from(index) < dense {
                Feed::Dense(FeedForward::declare(table, &name("mlp"), [inner, hidden], stage))
            } else {
                let router = Router::declare(table, &name("mlp.gate"), &rules, hidden, stage);
                let parts = ["gate_proj", "up_proj", "down_proj"];
                let shape = [expert_inner, hidden];
                let many = Experts::declare(table, &name("mlp.experts"), parts, experts.count, shape, stage);
                let shared = shared.map(|count| {
                    FeedForward::declare(
                        table,
                        &name("mlp.shared_experts"),
                        [count * expert_inner, hidden],
                        stage,
                    )
                });
                Feed::Mixture(router, many, shared)
            };
            Layer {
                attention_norm: norm.declare(table, &name("input_layernorm"), hidden, stage),
                attention: Attention::declare(table, &latent, hidden, index),
                mlp_norm: norm.declare(table, &name("post_attention_layernorm"), hidden, stage),
                feed,
            }
        });
        // Layers that predict tokens after the next, which come after the last.
        let further = config.integer("num_nextn_predict_layers")?.unwrap_or(0);
        architecture
            .ignored
            .extend((0..further).map(|layer| format!("model.layers.{}.*", u64::from(sizes.layers) + layer)));
        let bias = |parameter: &ModelParameter| parameter.name.ends_with(router::CORRECTION);
        let indexed = (0..).zip(&architecture.parameters);
        let untrained = indexed.filter(|(_, parameter)| bias(parameter)).map(|(index, _)| index).collect();
        Ok((architecture, Network { latent, rules, untrained, decoder }))
    }

    fn untrained(&self, network: &Network) -> Vec<u32> {
        network.untrained.clone()
    }

    fn cached_values(&self, _: &Network) -> Option<u32> {
        Some(0)
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
            let (router, experts, shared) = match &layer.feed {
                Feed::Dense(dense) => return Ok(hidden + dense.apply(&x, Activation::Silu, context)),
                Feed::Mixture(router, experts, shared) => (router, experts, shared),
            };
            let mut output = experts.apply(&x, &router.choose(&x, &network.rules, context)?, context)?;
            if let Some(dense) = shared {
                output = output + dense.apply(&x, Activation::Silu, context);
            }
            Ok(hidden + output)
        })
    }
}

export!(DeepSeek: Model);

#[cfg(test)]
mod tests;
