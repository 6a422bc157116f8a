//! Decoders of the Gemma family: RMSNorm by one plus its weight, scaled embeddings, GELU, in later members norms on both sides
//! of each part, windows in some layers, and caps. What sets its members apart is in one table, in `config.rs`.

mod config;

use swift_plugin::decoder::{Decoder, FeedForward, Norm, NormStyle, Outline, Projections, family};
use swift_plugin::prelude::*;

use config::{Config, FAMILIES};

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
    projections: Projections,
    /// Norms of each head's queries and keys.
    head_norms: Option<[Norm; 2]>,
    feed_forward: FeedForward,
    attention_norm: Norm,
    mlp_norm: Norm,
    /// Norms of what attention and the feed-forward part give.
    post_norms: [Option<Norm>; 2],
}

impl Model for Gemma {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let config = Config::parse(config)?;
        let norm = NormStyle::Rms { epsilon: config.epsilon, offset: 1.0 };
        let outline = Outline {
            name: config.name.to_owned(),
            sizes: config.sizes,
            norm,
            tied: config.tied,
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
            let [after_attention, after_mlp] = layer.post_norms;
            let hidden = hidden + Norm::apply_if_any(after_attention, mixed, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            let output = layer.feed_forward.apply(&x, config.activation, context);
            Ok(hidden + Norm::apply_if_any(after_mlp, output, context))
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
        let (hidden, stage) = (config.sizes.hidden, index + 1);
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let projections = Projections::declare(table, &config.sizes, [config.bias; 2], index);
        let shape = [config.intermediate_size, hidden];
        let feed_forward = FeedForward::declare(table, &name("mlp"), shape, stage);
        let mut norm = |part: &str, width| norm.declare(table, &name(part), width, stage);
        let head_dim = config.sizes.head_dim.into();
        let head_norms = config
            .head_norms
            .then(|| [norm("self_attn.q_norm", head_dim), norm("self_attn.k_norm", head_dim)]);
        let attention_norm = norm("input_layernorm", hidden);
        let after_attention = norm("post_attention_layernorm", hidden);
        // Gemma's norm before the feed-forward part has the name of Gemma 2's norm after attention.
        let (mlp_norm, post_norms) = match config.sandwich {
            false => (after_attention, [None; 2]),
            true => (
                norm("pre_feedforward_layernorm", hidden),
                [Some(after_attention), Some(norm("post_feedforward_layernorm", hidden))],
            ),
        };
        Self { projections, head_norms, feed_forward, attention_norm, mlp_norm, post_norms }
    }

    fn attention(&self, index: u32, x: &Tensor, config: &Config, context: &Context) -> Tensor {
        let [mut q, mut k, v] = self.projections.split(x, &config.sizes, context);
        if let Some([q_norm, k_norm]) = self.head_norms {
            (q, k) = (q_norm.apply(&q, context), k_norm.apply(&k, context));
        }
        let (window, table) = config.layer(index);
        let (q, k) = (context.rope(table, &q), context.rope(table, &k));
        let options = AttentionOptions { scale: config.scale, window, soft_cap: config.score_cap };
        context.linear(self.projections.o, &config.sizes.attend(index, [&q, &k, &v], options, context))
    }
}

export!(Gemma: Model);

#[cfg(test)]
mod tests;
