//! Decoders of the llama family: a norm before each part, rotary positions, grouped-query attention, a feed-forward part that
//! is usually gated. What sets its members apart is in one table, in `families.rs`.

mod attention;
mod config;
mod families;

use swift_plugin::decoder::{Decoder, Norm, Outline, family};
use swift_plugin::prelude::*;

use attention::Attention;
use config::Config;
use families::{FAMILIES, HeadStyle};

parameters! {
    /// Decoders of the llama family: Llama, Mistral, Qwen2, Qwen3, and others that are wired alike.
    pub struct Llama {}
}

/// A decoder that was loaded, by the numbers of its parameters.
pub struct Network {
    config: Config,
    decoder: Decoder<Layer>,
}

/// One layer.
struct Layer {
    attention_norm: Norm,
    attention: Attention,
    /// None where the feed-forward part gets what attention gets.
    mlp_norm: Option<Norm>,
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
}

impl Model for Llama {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    /// Stage 0 embeds, stages `1 ..= layers` are the layers, and the last is the final norm.
    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let config = Config::parse(config)?;
        let outline = Outline {
            name: config.name.to_owned(),
            sizes: config.sizes,
            norm: config.norm,
            tied: config.tied,
            rotary_tables: config.rotary.iter().cloned().collect(),
        };
        let (mut architecture, decoder) =
            outline.declare(|table, index| Layer::declare(table, &config, index));
        if config.head == HeadStyle::Bias {
            architecture.add_head_bias("lm_head.bias");
        }
        for (usual, name) in config.names {
            architecture.rename(usual, name);
        }
        Ok((architecture, Network { config, decoder }))
    }

    fn normalised_head(&self, network: &Network) -> bool {
        match network.config.head {
            HeadStyle::NormalisedUnless { vocabulary } => network.config.sizes.vocabulary != vocabulary,
            HeadStyle::Plain | HeadStyle::Bias => false,
        }
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        let Network { config, decoder } = network;
        let factors = &config.factors;
        let output = decoder.forward(stage, input, context, |index, layer, hidden| {
            let normed = layer.attention_norm.apply(hidden, context);
            let mixed = scaled(layer.attention.apply(index, &normed, config, context), factors.residual);
            let hidden = hidden + mixed;
            let x = match layer.mlp_norm {
                Some(norm) => norm.apply(&hidden, context),
                None => normed,
            };
            let up = context.linear(layer.up, &x);
            let active = match layer.gate {
                Some(gate) => config.activation.gate(&context.linear(gate, &x), &up, context),
                None => config.activation.apply(&up),
            };
            Ok(hidden + scaled(context.linear(layer.down, &active), factors.residual))
        })?;
        Ok(match stage {
            0 => scaled(output, factors.embedding),
            stage if stage > config.sizes.layers => scaled(output, factors.hidden),
            _ => output,
        })
    }
}

/// `factor * x`, at no cost where the factor is 1.
fn scaled(x: Tensor, factor: f64) -> Tensor {
    if factor == 1.0 { x } else { x * factor }
}

impl Layer {
    fn declare(table: &mut ParameterTable, config: &Config, index: u32) -> Self {
        let (hidden, inner) = (config.sizes.hidden, config.intermediate_size);
        let stage = index + 1;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let attention = Attention::declare(table, config, index);
        let mut linear =
            |part: &str, shape, role| table.add_linear(&name(part), shape, config.mlp_bias, role, stage);
        let gate = config.gated.then(|| linear("mlp.gate_proj", [inner, hidden], Role::Column));
        let up = linear("mlp.up_proj", [inner, hidden], Role::Column);
        let down = linear("mlp.down_proj", [hidden, inner], Role::Row);
        let mut norm = |part: &str| config.norm.declare(table, &name(part), hidden, stage);
        let attention_norm = norm("input_layernorm");
        let mlp_norm = (!config.parallel).then(|| norm("post_attention_layernorm"));
        Self { attention_norm, attention, mlp_norm, gate, up, down }
    }
}

export!(Llama: Model);

#[cfg(test)]
mod tests;
