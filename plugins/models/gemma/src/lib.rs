//! Decoders of the Gemma family: RMSNorm by one plus its weight, scaled embeddings, GELU, in later members norms on both sides
//! of each part, windows in some layers, and caps. What sets its members apart is in one table, in `config.rs`.

mod config;

use swift_plugin::decoder::{Decoder, Norm, NormStyle, Outline};
use swift_plugin::prelude::*;

use config::Config;

parameters! {
    /// Decoders of the Gemma family: Gemma, Gemma 2 and the text part of Gemma 3.
    pub struct Gemma {}
}

/// A decoder that was loaded.
pub struct Network {
    config: Config,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// Norms of each head's queries and keys.
    head_norms: Option<[Norm; 2]>,
    gate: Linear,
    up: Linear,
    down: Linear,
    attention_norm: Norm,
    mlp_norm: Norm,
    /// Norms of what attention and the feed-forward part give.
    post_norms: Option<[Norm; 2]>,
}

impl Model for Gemma {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        config::family(architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let config = Config::parse(config)?;
        let norm = NormStyle::Rms { epsilon: config.epsilon, offset: 1.0 };
        let outline = Outline {
            name: config.name.to_owned(),
            sizes: config.sizes,
            norm,
            tied: config.tied,
            head_bias: false,
            rotary_tables: config.rotary_tables.clone(),
        };
        let (architecture, decoder) =
            outline.declare(|table, index| Layer::declare(table, &config, norm, index));
        Ok((architecture, Network { config, decoder }))
    }

    fn head_soft_cap(&self, network: &Network) -> Option<f64> {
        network.config.logit_cap
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        let Network { config, decoder } = network;
        let output = decoder.forward(stage, input, context, |index, layer, hidden| {
            let mixed = layer.attention(index, &layer.attention_norm.apply(hidden, context), config, context);
            let normed = |which: usize, x: Tensor| match layer
                .post_norms
                .and_then(|norms| norms.get(which).copied())
            {
                Some(norm) => norm.apply(&x, context),
                None => x,
            };
            let hidden = hidden + normed(0, mixed);
            let x = layer.mlp_norm.apply(&hidden, context);
            let (gate, up) = (context.linear(layer.gate, &x), context.linear(layer.up, &x));
            let active = config.activation.gate(&gate, &up, context);
            Ok(hidden + normed(1, context.linear(layer.down, &active)))
        })?;
        if input.is_some() {
            return Ok(output);
        }
        // The factor has the element type of the embeddings, as in the models that were trained so.
        let factor = Tensor::full((config.sizes.hidden as f64).sqrt(), &[1], output.dtype()?);
        Ok(output * factor)
    }
}

impl Layer {
    fn declare(table: &mut ParameterTable, config: &Config, norm: NormStyle, index: u32) -> Self {
        let (hidden, inner) = (config.sizes.hidden, config.intermediate_size);
        let (queries, keys) = (config.sizes.queries(), config.sizes.keys());
        let stage = index + 1;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let mut linear =
            |part: &str, shape, bias, role| table.add_linear(&name(part), shape, bias, role, stage);
        let q = linear("self_attn.q_proj", [queries, hidden], config.bias, Role::Column);
        let k = linear("self_attn.k_proj", [keys, hidden], config.bias, Role::Column);
        let v = linear("self_attn.v_proj", [keys, hidden], config.bias, Role::Column);
        let o = linear("self_attn.o_proj", [hidden, queries], config.bias, Role::Row);
        let gate = linear("mlp.gate_proj", [inner, hidden], false, Role::Column);
        let up = linear("mlp.up_proj", [inner, hidden], false, Role::Column);
        let down = linear("mlp.down_proj", [hidden, inner], false, Role::Row);
        let mut norm = |part: &str, width| norm.declare(table, &name(part), width, stage);
        let head_dim = config.sizes.head_dim.into();
        let head_norms = config
            .head_norms
            .then(|| [norm("self_attn.q_norm", head_dim), norm("self_attn.k_norm", head_dim)]);
        let attention_norm = norm("input_layernorm", hidden);
        let after_attention = norm("post_attention_layernorm", hidden);
        // Gemma's norm before the feed-forward part has the name of Gemma 2's norm after attention.
        let (mlp_norm, post_norms) = match config.sandwich {
            false => (after_attention, None),
            true => (
                norm("pre_feedforward_layernorm", hidden),
                Some([after_attention, norm("post_feedforward_layernorm", hidden)]),
            ),
        };
        Self { q, k, v, o, head_norms, gate, up, down, attention_norm, mlp_norm, post_norms }
    }

    fn attention(&self, index: u32, x: &Tensor, config: &Config, context: &Context) -> Tensor {
        let split = |layer| config.sizes.split(&context.linear(layer, x), context);
        let (mut q, mut k, v) = (split(self.q), split(self.k), split(self.v));
        if let Some([q_norm, k_norm]) = self.head_norms {
            (q, k) = (q_norm.apply(&q, context), k_norm.apply(&k, context));
        }
        let (window, table) = config.layer(index);
        let (q, k) = (context.rope(table, &q), context.rope(table, &k));
        let options = AttentionOptions { scale: config.scale, window, soft_cap: config.score_cap };
        context.linear(self.o, &config.sizes.attend(index, [&q, &k, &v], options, context))
    }
}

export!(Gemma: Model);

#[cfg(test)]
mod tests;
