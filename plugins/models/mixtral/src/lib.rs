//! Decoders of Mixtral (Jiang et al. 2024): as Mistral, with a mixture of experts in the place of the feed-forward part.

use swift_plugin::decoder::{
    Decoder, Norm, NormStyle, Outline, Sizes, family, read_config, refuse_unless, rotary_table,
    sliding_window,
};
use swift_plugin::mixture::{
    Attention, AttentionStyle, Balance, ExpertSizes, Experts, Router, RouterRules, refuse_activation,
};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of Mixtral.
    pub struct Mixtral {}
}

/// The supported architectures, with their model types.
const FAMILIES: [(&str, &str); 1] = [("MixtralForCausalLM", "mixtral")];

/// A decoder that was loaded.
pub struct Network {
    sizes: Sizes,
    rules: RouterRules,
    balance: Option<Balance>,
    window: Option<u32>,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    router: Router,
    experts: Experts,
}

impl Model for Mixtral {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, _) = read_config(config, &FAMILIES, "Mixtral")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0)), ("router_jitter_noise", Some(0.0))])?;
        refuse_activation(&config)?;
        let sizes = Sizes::read(&config, None)?;
        let experts = ExpertSizes::read(&config, &["num_local_experts", "num_experts"])?;
        let rules = RouterRules::probabilities(experts, true);
        let inner = config.size("intermediate_size")?;
        let norm = NormStyle::rms(&config, 1e-5)?;
        let outline = Outline {
            name: "mixtral".to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            rotary_tables: vec![rotary_table(&config, sizes.head_dim)?],
        };
        let (architecture, decoder) = outline.declare(|table, index| {
            let stage = index + 1;
            let name = |part: &str| format!("model.layers.{index}.{part}");
            let shape = [inner, sizes.hidden];
            Layer {
                attention_norm: norm.declare(table, &name("input_layernorm"), sizes.hidden, stage),
                attention: Attention::declare(table, &sizes, AttentionStyle::default(), index),
                mlp_norm: norm.declare(table, &name("post_attention_layernorm"), sizes.hidden, stage),
                router: Router::declare(table, &name("block_sparse_moe.gate"), &rules, sizes.hidden, stage),
                experts: Experts::declare(
                    table,
                    &name("block_sparse_moe.experts"),
                    ["w1", "w3", "w2"],
                    experts.count,
                    shape,
                    stage,
                ),
            }
        });
        let window = sliding_window(&config, None)?;
        let balance = Balance::read(&config, experts)?;
        Ok((architecture, Network { sizes, rules, balance, window, decoder }))
    }

    fn full_precision(&self, network: &Network) -> Vec<u32> {
        network.decoder.layers().iter().map(|layer| layer.router.full_precision()).collect()
    }

    fn stacks(&self, network: &Network) -> Vec<Stack> {
        let of_layer = |(index, layer): (usize, &Layer)| {
            let name = |part: &str| format!("model.layers.{index}.mlp.{part}");
            let experts = layer.experts.stacks(&name("experts"));
            experts.into_iter().chain([layer.router.called(name("gate.weight"))])
        };
        network.decoder.layers().iter().enumerate().flat_map(of_layer).collect()
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
            let hidden = hidden + layer.attention.apply(index, &x, &network.sizes, network.window, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            let routing = layer.router.choose(&x, &network.rules, network.balance.as_ref(), context)?;
            Ok(hidden + layer.experts.apply(&x, &routing, context)?)
        })
    }
}

export!(Mixtral: Model);

#[cfg(test)]
mod tests {
    use super::*;

    fn error(members: &str) -> String {
        let config = format!(
            r#"{{"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_size": 8, "intermediate_size": 12,
                "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 10, "num_hidden_layers": 1{members}}}"#
        );
        Mixtral {}.load(&config).err().unwrap().message().to_owned()
    }

    #[test]
    fn numbers_of_experts_that_make_no_sense_are_named() {
        assert_eq!(error(""), "`num_local_experts` is missing");
        assert_eq!(error(r#", "num_local_experts": 0"#), "`num_local_experts` is 0");
        assert_eq!(
            error(r#", "num_local_experts": 2, "num_experts_per_tok": 3"#),
            "`num_experts_per_tok` is 3, more than `num_local_experts`, 2"
        );
    }
}
