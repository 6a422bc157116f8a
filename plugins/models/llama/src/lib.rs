//! Decoders of the llama family: a norm before each part, rotary positions, grouped-query attention, a feed-forward part that
//! is usually gated. What sets its members apart is in one table, in `families.rs`.

mod config;
mod families;

use swift_plugin::decoder::{Decoder, Norm, NormStyle, Outline, Projections, family};
use swift_plugin::prelude::*;

use config::Config;
use families::FAMILIES;

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
    projections: Projections,
    /// Norms of each head's queries and keys.
    head_norms: Option<[Norm; 2]>,
    mlp_norm: Norm,
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
            rotary_tables: vec![config.rotary.clone()],
        };
        let (architecture, decoder) = outline.declare(|table, index| Layer::declare(table, &config, index));
        Ok((architecture, Network { config, decoder }))
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
            let x = layer.attention_norm.apply(hidden, context);
            let hidden = hidden + scaled(layer.attention(index, &x, config, context), factors.residual);
            let x = layer.mlp_norm.apply(&hidden, context);
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
        let projections = Projections::declare(table, &config.sizes, [config.qkv_bias, config.o_bias], index);
        let mut linear =
            |part: &str, shape, role| table.add_linear(&name(part), shape, config.mlp_bias, role, stage);
        let [up, down] = match config.gated {
            true => ["mlp.up_proj", "mlp.down_proj"],
            false => ["mlp.c_fc", "mlp.c_proj"],
        };
        let gate = config.gated.then(|| linear("mlp.gate_proj", [inner, hidden], Role::Column));
        let up = linear(up, [inner, hidden], Role::Column);
        let down = linear(down, [hidden, inner], Role::Row);
        let (NormStyle::Rms { epsilon, .. } | NormStyle::Layer { epsilon, .. }) = config.norm;
        let head_norms = config.head_norms.map(|(names, _)| {
            let style = NormStyle::Rms { epsilon, offset: 0.0 };
            let head_dim = config.sizes.head_dim.into();
            names.map(|part| style.declare(table, &name(&format!("self_attn.{part}")), head_dim, stage))
        });
        let mut norm = |part: &str| config.norm.declare(table, &name(part), hidden, stage);
        let attention_norm = norm("input_layernorm");
        let mlp_norm = norm("post_attention_layernorm");
        Self { attention_norm, projections, head_norms, mlp_norm, gate, up, down }
    }

    fn attention(&self, index: u32, x: &Tensor, config: &Config, context: &Context) -> Tensor {
        let sizes = &config.sizes;
        let [mut q, mut k, v] = self.projections.split(x, sizes, context);
        let normed_last = config.head_norms.is_some_and(|(_, last)| last);
        let normed = |q: Tensor, k: Tensor, now: bool| match self.head_norms.filter(|_| now) {
            Some([q_norm, k_norm]) => (q_norm.apply(&q, context), k_norm.apply(&k, context)),
            None => (q, k),
        };
        (q, k) = normed(q, k, !normed_last);
        let (window, rotated) = config.layer(index);
        if rotated {
            (q, k) = (context.rope(0, &q), context.rope(0, &k));
        }
        (q, k) = normed(q, k, normed_last);
        let options = AttentionOptions { scale: config.factors.scores, window, soft_cap: None };
        context.linear(self.projections.o, &sizes.attend(index, [&q, &k, &v], options, context))
    }
}

export!(Llama: Model);

#[cfg(test)]
mod tests;
