//! Decoders of Qwen 2 and Qwen 3 with a mixture of experts; those of Qwen 2 have an expert for every token besides.

use swift_plugin::decoder::{
    Activation, Decoder, FeedForward, Norm, NormStyle, Outline, Sizes, family, read_config, refuse_unless,
    rotary_table,
};
use swift_plugin::mixture::{
    Attention, AttentionStyle, Balance, ExpertSizes, Experts, Routing, refuse_activation, top_k,
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
    experts: ExpertSizes,
    balance: Option<Balance>,
    /// Whether the weights of the chosen experts are made to add up to 1.
    renormalised: bool,
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
    /// The router, the experts, and an expert of all tokens with its gate.
    Mixture(Linear, Experts, Option<(Linear, FeedForward)>),
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
        let shared = if second { Some(config.size("shared_expert_intermediate_size")?) } else { None };
        let inner = (config.size("moe_intermediate_size")?, config.integer("intermediate_size")?);
        let mixed = mixed_layers(&config, sizes.layers)?;
        if inner.1.is_none() && mixed.contains(&false) {
            bail!("`intermediate_size` is missing");
        }
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
            let feed = match (mixed.get(index as usize), inner.1) {
                (Some(false), Some(inner)) => {
                    Feed::Dense(FeedForward::declare(table, &name("mlp"), [inner, hidden], stage))
                }
                _ => declare_mixture(table, &name("mlp"), experts.count, [inner.0, hidden], shared, stage),
            };
            Layer {
                attention_norm: norm.declare(table, &name("input_layernorm"), hidden, stage),
                attention: Attention::declare(table, &sizes, style, index),
                mlp_norm: norm.declare(table, &name("post_attention_layernorm"), hidden, stage),
                feed,
            }
        });
        let renormalised = config.flag("norm_topk_prob")?;
        let balance = Balance::read(&config, experts)?;
        Ok((architecture, Network { sizes, experts, balance, renormalised, decoder }))
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        if let Some(balance) = network.balance.filter(|_| network.decoder.is_last(stage)) {
            balance.finish(context)?;
        }
        network.decoder.forward(stage, input, context, |index, layer, hidden| {
            let x = layer.attention_norm.apply(hidden, context);
            let hidden = hidden + layer.attention.apply(index, &x, &network.sizes, None, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            let (router, experts, shared) = match &layer.feed {
                Feed::Dense(dense) => return Ok(hidden + dense.apply(&x, Activation::Silu, context)),
                Feed::Mixture(router, experts, shared) => (router, experts, shared),
            };
            let scores = context.linear(*router, &x).at_least_float32().softmax(-1);
            let (mut weights, chosen) = top_k(&scores, network.experts.chosen);
            if network.renormalised {
                weights = &weights / weights.sum(&[-1], true);
            }
            let routing = Routing { weights, experts: chosen };
            if let Some(balance) = network.balance {
                balance.observe(&scores, &routing, context)?;
            }
            let mut output = experts.apply(&x, &routing, context)?;
            if let Some((gate, dense)) = shared {
                output =
                    output + dense.apply(&x, Activation::Silu, context) * context.linear(*gate, &x).sigmoid();
            }
            Ok(hidden + output)
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

fn declare_mixture(
    table: &mut ParameterTable,
    name: &str,
    count: u64,
    [inner, hidden]: [u64; 2],
    shared: Option<u64>,
    stage: u32,
) -> Feed {
    let linear = |table: &mut ParameterTable, part: &str, outputs| {
        table.add_linear(&format!("{name}.{part}"), [outputs, hidden], false, Role::Column, stage)
    };
    let router = linear(table, "gate", count);
    let parts = ["gate_proj", "up_proj", "down_proj"];
    let experts = Experts::declare(table, &format!("{name}.experts"), parts, count, [inner, hidden], stage);
    let shared = shared.map(|inner| {
        let gate = linear(table, "shared_expert_gate", 1);
        (gate, FeedForward::declare(table, &format!("{name}.shared_expert"), [inner, hidden], stage))
    });
    Feed::Mixture(router, experts, shared)
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
