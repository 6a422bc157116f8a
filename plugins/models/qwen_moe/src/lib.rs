//! Decoders of Qwen 2 and Qwen 3 with a mixture of experts; those of Qwen 2 have an expert for every token besides.

use swift_plugin::decoder::{
    Decoder, Norm, NormStyle, Outline, Sizes, family, read_config, refuse_unless, rotary_table,
};
use swift_plugin::mixture::{
    Attention, AttentionStyle, Balance, ExpertSizes, Feed, FeedStyle, RouterRules, SharedExpert,
    refuse_activation,
};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of Qwen 2 and Qwen 3 with experts.
    pub struct QwenMoe {}
}

/// The supported architectures, with their model types.
const FAMILIES: [(&str, &str); 2] =
    [("Qwen2MoeForCausalLM", "qwen2_moe"), ("Qwen3MoeForCausalLM", "qwen3_moe")];

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

impl Model for QwenMoe {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, &(_, name)) = read_config(config, &FAMILIES, "Qwen with experts")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0))])?;
        refuse_activation(&config)?;
        if config.flag("use_sliding_window")? {
            bail!("`use_sliding_window` is true, which is not supported");
        }
        let second = name == "qwen2_moe";
        let sizes = Sizes::read(&config, None)?;
        let experts = ExpertSizes::read(&config, &["num_experts", "num_local_experts"])?;
        let norm = NormStyle::rms(&config, 1e-6)?;
        let bias = config.flag("attention_bias")?;
        let style = AttentionStyle {
            qkv_bias: if second { config.flag_or("qkv_bias", true)? } else { bias },
            o_bias: !second && bias,
            head_norms: (!second).then_some(norm),
            sinks: false,
        };
        let shared = match second {
            true => Some(SharedExpert {
                name: "shared_expert",
                inner: config.size("shared_expert_intermediate_size")?,
                gate: Some("shared_expert_gate"),
            }),
            false => None,
        };
        let mixed = mixed_layers(&config, sizes.layers)?;
        let feed = FeedStyle {
            hidden: sizes.hidden,
            dense: if mixed.contains(&false) { config.size("intermediate_size")? } else { 0 },
            expert: config.size("moe_intermediate_size")?,
            rules: RouterRules::probabilities(experts, config.flag("norm_topk_prob")?),
            balance: Balance::read(&config, experts)?,
            shared,
        };
        let outline = Outline {
            name: name.to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            rotary_tables: vec![rotary_table(&config, sizes.head_dim)?],
        };
        let (architecture, decoder) = outline.declare(|table, index| {
            let (stage, hidden) = (index + 1, sizes.hidden);
            let name = |part: &str| format!("model.layers.{index}.{part}");
            Layer {
                attention_norm: norm.declare(table, &name("input_layernorm"), hidden, stage),
                attention: Attention::declare(table, &sizes, style, index),
                mlp_norm: norm.declare(table, &name("post_attention_layernorm"), hidden, stage),
                feed: feed.declare(table, mixed.get(index as usize) != Some(&false), index),
            }
        });
        Ok((architecture, Network { sizes, feed, decoder }))
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
        if let Some(balance) = network.feed.balance.filter(|_| network.decoder.is_last(stage)) {
            balance.finish(context)?;
        }
        network.decoder.forward(stage, input, context, |index, layer, hidden| {
            let x = layer.attention_norm.apply(hidden, context);
            let hidden = hidden + layer.attention.apply(index, &x, &network.sizes, None, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            Ok(hidden + layer.feed.apply(&x, &network.feed, context)?)
        })
    }
}

/// Whether each layer has experts: not those in `mlp_only_layers`, and of the others each `decoder_sparse_step`-th.
fn mixed_layers(config: &Settings, layers: u32) -> Result<Vec<bool>> {
    let step = config.integer("decoder_sparse_step")?.unwrap_or(1);
    let dense = config.list("mlp_only_layers")?.unwrap_or_default();
    let is_dense = |layer: u32| dense.iter().any(|index| index.as_u64() == Some(layer.into()));
    if step == 0 {
        bail!("`decoder_sparse_step` is 0");
    }
    Ok((0..layers).map(|layer| !is_dense(layer) && (u64::from(layer) + 1) % step == 0).collect())
}

export!(QwenMoe: Model);

#[cfg(test)]
mod tests {
    use super::*;

    fn load(members: &str) -> Result<(Architecture, Network)> {
        QwenMoe {}.load(&format!(
            r#"{{"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 8,
                "intermediate_size": 12, "moe_intermediate_size": 6, "num_attention_heads": 2, "num_key_value_heads": 1,
                "vocab_size": 10, "num_hidden_layers": 4, "num_experts_per_tok": 2{members}}}"#
        ))
    }

    #[test]
    fn dense_layers_are_those_that_the_configuration_says() {
        let members = r#", "num_experts": 3, "decoder_sparse_step": 2, "mlp_only_layers": [3]"#;
        let (architecture, _) = load(members).unwrap();
        let has = |layer: u32, part: &str| {
            let name = format!("model.layers.{layer}.mlp.{part}.weight");
            architecture.parameters.iter().any(|parameter| parameter.name == name)
        };
        assert_eq!([0, 1, 2, 3].map(|layer| has(layer, "gate_proj")), [true, false, true, true]);
        assert_eq!([0, 1, 2, 3].map(|layer| has(layer, "experts.2.down_proj")), [false, true, false, false]);
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let error = |members: &str| load(members).err().unwrap().message().to_owned();
        assert_eq!(error(r#", "num_experts": 0"#), "`num_experts` is 0");
        assert_eq!(error(r#", "num_experts": 1"#), "`num_experts_per_tok` is 2, more than `num_experts`, 1");
        assert_eq!(error(r#", "num_experts": 3, "decoder_sparse_step": 0"#), "`decoder_sparse_step` is 0");
    }
}
