//! Decoders of OLMo 2: as Llama, but norms follow attention and the feed-forward part instead of going before them, and
//! queries and keys are normed as a whole.

use swift_plugin::decoder::{
    Activation, Decoder, FeedForward, Norm, NormStyle, Outline, Projections, Sizes, family, read_config,
    refuse_unless, rotary_table,
};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of OLMo 2.
    pub struct Olmo2 {}
}

/// The supported architectures, with their model types.
const FAMILIES: [(&str, &str); 1] = [("Olmo2ForCausalLM", "olmo2")];

/// A decoder that was loaded.
pub struct Network {
    sizes: Sizes,
    activation: Activation,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    projections: Projections,
    /// Norms of all queries of a token, and of all its keys.
    q_norm: Norm,
    k_norm: Norm,
    feed_forward: FeedForward,
    /// Norms of what attention and the feed-forward part give.
    attention_norm: Norm,
    mlp_norm: Norm,
}

impl Model for Olmo2 {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, _) = read_config(config, &FAMILIES, "OLMo 2")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0))])?;
        let sizes = Sizes::read(&config, None)?;
        let inner = config.size("intermediate_size")?;
        let norm = NormStyle::rms(&config, 1e-5)?;
        let outline = Outline {
            name: "olmo2".to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            rotary_tables: vec![rotary_table(&config, sizes.head_dim)?],
        };
        let (activation, bias) =
            (Activation::read(&config, "hidden_act", Activation::Silu)?, config.flag("attention_bias")?);
        let (architecture, decoder) =
            outline.declare(|table, index| Layer::declare(table, &sizes, inner, norm, bias, index));
        Ok((architecture, Network { sizes, activation, decoder }))
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        network.decoder.forward(stage, input, context, |index, layer, hidden| {
            let mixed = layer.attention(index, hidden, &network.sizes, context);
            let hidden = hidden + layer.attention_norm.apply(&mixed, context);
            let output = layer.feed_forward.apply(&hidden, network.activation, context);
            Ok(&hidden + layer.mlp_norm.apply(&output, context))
        })
    }
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
        let mut norm = |part: &str, width| norm.declare(table, &name(part), width, stage);
        let (q_norm, k_norm) =
            (norm("self_attn.q_norm", sizes.queries()), norm("self_attn.k_norm", sizes.keys()));
        let attention_norm = norm("post_attention_layernorm", hidden);
        let mlp_norm = norm("post_feedforward_layernorm", hidden);
        Self { projections, q_norm, k_norm, feed_forward, attention_norm, mlp_norm }
    }

    fn attention(&self, index: u32, x: &Tensor, sizes: &Sizes, context: &Context) -> Tensor {
        let Projections { q, k, v, o } = self.projections;
        let q = sizes.split(&self.q_norm.apply(&context.linear(q, x), context), context);
        let k = sizes.split(&self.k_norm.apply(&context.linear(k, x), context), context);
        let v = sizes.split(&context.linear(v, x), context);
        let (q, k) = (context.rope(0, &q), context.rope(0, &k));
        let options = AttentionOptions { scale: sizes.scale(), window: None, soft_cap: None };
        context.linear(o, &sizes.attend(index, [&q, &k, &v], options, context))
    }
}

export!(Olmo2: Model);

#[cfg(test)]
mod tests {
    use super::*;

    fn load(members: &str) -> Result<(Architecture, Network)> {
        Olmo2 {}.load(&format!(
            r#"{{"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "hidden_size": 8, "intermediate_size": 12,
                "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 10{members}}}"#
        ))
    }

    #[test]
    fn norms_of_queries_and_keys_are_as_wide_as_the_projections() {
        let (architecture, _) = load(r#", "num_hidden_layers": 2"#).unwrap();
        let shape = |name: &str| {
            let name = format!("model.layers.1.self_attn.{name}.weight");
            architecture.parameters.iter().find(|parameter| parameter.name == name).unwrap().shape.clone()
        };
        assert_eq!((shape("q_norm"), shape("k_norm")), (vec![8], vec![4]));
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        let error = |members: &str| load(members).err().unwrap().message().to_owned();
        assert_eq!(error(r#", "num_hidden_layers": 0"#), "`num_hidden_layers` is 0");
        assert_eq!(error(""), "`num_hidden_layers` is missing");
        assert_eq!(
            error(r#", "num_hidden_layers": 2, "hidden_act": "relu2""#),
            "`hidden_act` is `relu2`, and only `silu`, `gelu` and `gelu_pytorch_tanh` are supported"
        );
    }
}
