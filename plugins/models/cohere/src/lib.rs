//! Decoders of Cohere's Command models: attention and the feed-forward part side by side after one norm without a bias, rotary
//! positions of neighbouring components, and a factor on logits.

use swift_plugin::decoder::{
    Activation, Decoder, FeedForward, Norm, NormStyle, Outline, Projections, Sizes, all_but_each, family,
    layer_types, read_config, refuse_unless, rotary_table, sliding_window,
};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of Cohere's Command models.
    pub struct Cohere {}
}

/// What sets the members apart: architecture, model type, and whether most layers have a window, where only those rotate.
const FAMILIES: [(&str, &str, bool); 2] =
    [("CohereForCausalLM", "cohere", false), ("Cohere2ForCausalLM", "cohere2", true)];

/// A decoder that was loaded.
pub struct Network {
    sizes: Sizes,
    activation: Activation,
    logit_scale: f64,
    /// The window of each layer, and whether it rotates queries and keys.
    windows: Vec<(Option<u32>, bool)>,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    norm: Norm,
    projections: Projections,
    feed_forward: FeedForward,
}

impl Model for Cohere {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, &(_, name, windows)) = read_config(config, &FAMILIES, "Cohere's")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0))])?;
        if config.flag("use_qk_norm")? {
            bail!("`use_qk_norm` is true, which is not supported");
        }
        let sizes = Sizes::read(&config, None)?;
        let inner = config.size("intermediate_size")?;
        let epsilon = config.number("layer_norm_eps")?.unwrap_or(1e-5);
        let norm = NormStyle::Layer { epsilon, bias: false };
        let outline = Outline {
            name: name.to_owned(),
            sizes,
            norm,
            tied: config.flag_or("tie_word_embeddings", true)?,
            rotary_tables: vec![RotaryTable { interleaved: true, ..rotary_table(&config, sizes.head_dim)? }],
        };
        let activation = Activation::read(&config, "hidden_act", Activation::Silu)?;
        let logit_scale = config.number("logit_scale")?.unwrap_or(0.0625);
        let windows = match windows {
            true => self::windows(&config, sizes.layers)?,
            false => vec![(None, true); sizes.layers as usize],
        };
        let bias = config.flag("attention_bias")?;
        let (architecture, decoder) =
            outline.declare(|table, index| Layer::declare(table, &sizes, inner, norm, bias, index));
        Ok((architecture, Network { sizes, activation, logit_scale, windows, decoder }))
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        let output = network.decoder.forward(stage, input, context, |index, layer, hidden| {
            let x = layer.norm.apply(hidden, context);
            let mixed = layer.attention(index, &x, network, context);
            Ok(hidden + mixed + layer.feed_forward.apply(&x, network.activation, context))
        })?;
        // The last hidden states carry the factor on logits.
        Ok(if stage > network.sizes.layers { output * network.logit_scale } else { output })
    }
}

/// Windows by `layer_types`, else in all but each `sliding_window_pattern`-th layer; where there is none, nothing rotates.
fn windows(config: &Settings, layers: u32) -> Result<Vec<(Option<u32>, bool)>> {
    let slides = match layer_types(config, layers)? {
        Some(slides) => slides,
        None => {
            let every = match config.mentions("sliding_window_pattern") {
                true => config.size("sliding_window_pattern")?,
                false => 4,
            };
            all_but_each(every, layers)
        }
    };
    let window = sliding_window(config, Some(4096))?;
    Ok(slides.into_iter().map(|slides| (window.filter(|_| slides), slides && window.is_some())).collect())
}

impl Layer {
    fn declare(
        table: &mut ParameterTable,
        sizes: &Sizes,
        inner: u64,
        norm: NormStyle,
        bias: bool,
        index: u32,
    ) -> Self {
        let (hidden, stage) = (sizes.hidden, index + 1);
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let projections = Projections::declare(table, sizes, [bias, bias], index);
        let feed_forward = FeedForward::declare(table, &name("mlp"), [inner, hidden], stage);
        let norm = norm.declare(table, &name("input_layernorm"), hidden, stage);
        Self { norm, projections, feed_forward }
    }

    fn attention(&self, index: u32, x: &Tensor, network: &Network, context: &Context) -> Tensor {
        let sizes = &network.sizes;
        let [mut q, mut k, v] = self.projections.split(x, sizes, context);
        let (window, rotated) = network.windows.get(index as usize).copied().unwrap_or((None, true));
        if rotated {
            (q, k) = (context.rope(0, &q), context.rope(0, &k));
        }
        let options = AttentionOptions { scale: sizes.scale(), window, soft_cap: None };
        context.linear(self.projections.o, &sizes.attend(index, [&q, &k, &v], options, context))
    }
}

export!(Cohere: Model);

#[cfg(test)]
mod tests;
