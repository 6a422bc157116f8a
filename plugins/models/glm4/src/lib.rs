//! Decoders of GLM-4: rotary positions of neighbouring components, gate and values of the feed-forward part from one matrix, and
//! in the later member norms on both sides of each part.

use swift_plugin::decoder::{
    Activation, Decoder, FusedFeedForward, Norm, NormStyle, Outline, Projections, Sizes, family, read_config,
    refuse_unless, rotary_table,
};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of GLM-4, of 2024 (`glm`) and 2025 (`glm4`).
    pub struct Glm4 {}
}

/// What sets the members apart: architecture, model type, and whether norms follow attention and the feed-forward part.
const FAMILIES: [(&str, &str, bool); 2] =
    [("GlmForCausalLM", "glm", false), ("Glm4ForCausalLM", "glm4", true)];

/// A decoder that was loaded.
pub struct Network {
    sizes: Sizes,
    activation: Activation,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    projections: Projections,
    feed_forward: FusedFeedForward,
    attention_norm: Norm,
    mlp_norm: Norm,
    /// Norms of what attention and the feed-forward part give.
    post_norms: [Option<Norm>; 2],
}

impl Model for Glm4 {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, &(_, name, sandwich)) = read_config(config, &FAMILIES, "GLM-4")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0))])?;
        let sizes = Sizes::read(&config, Some(128))?;
        let inner = config.size("intermediate_size")?;
        let norm = NormStyle::rms(&config, 1.5625e-7)?;
        let rotary = RotaryTable { interleaved: true, ..rotary_table(&config, sizes.head_dim)? };
        let outline = Outline {
            name: name.to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            rotary_tables: vec![rotary],
        };
        let activation = Activation::read(&config, "hidden_act", Activation::Silu)?;
        let bias = config.flag("attention_bias")?;
        let (architecture, decoder) = outline
            .declare(|table, index| Layer::declare(table, &sizes, inner, (norm, sandwich), bias, index));
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
            let [after_attention, after_mlp] = layer.post_norms;
            let x = layer.attention_norm.apply(hidden, context);
            let mixed = layer.attention(index, &x, &network.sizes, context);
            let hidden = hidden + Norm::apply_if_any(after_attention, mixed, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            let output = layer.feed_forward.apply(&x, network.activation, context);
            Ok(hidden + Norm::apply_if_any(after_mlp, output, context))
        })
    }
}

impl Layer {
    fn declare(
        table: &mut ParameterTable,
        sizes: &Sizes,
        inner: u64,
        (norm, sandwich): (NormStyle, bool),
        bias: bool,
        index: u32,
    ) -> Self {
        let (hidden, stage) = (sizes.hidden, index + 1);
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let projections = Projections::declare(table, sizes, [bias, false], index);
        let feed_forward = FusedFeedForward::declare(table, &name("mlp"), [inner, hidden], stage);
        let mut norm = |part: &str| norm.declare(table, &name(part), hidden, stage);
        let (attention_norm, mlp_norm) = (norm("input_layernorm"), norm("post_attention_layernorm"));
        let post_norms =
            ["post_self_attn_layernorm", "post_mlp_layernorm"].map(|part| sandwich.then(|| norm(part)));
        Self { projections, feed_forward, attention_norm, mlp_norm, post_norms }
    }

    fn attention(&self, index: u32, x: &Tensor, sizes: &Sizes, context: &Context) -> Tensor {
        let [q, k, v] = self.projections.split(x, sizes, context);
        let (q, k) = (context.rope(0, &q), context.rope(0, &k));
        let options = AttentionOptions { scale: sizes.scale(), window: None, soft_cap: None };
        context.linear(self.projections.o, &sizes.attend(index, [&q, &k, &v], options, context))
    }
}

export!(Glm4: Model);

#[cfg(test)]
mod tests {
    use super::*;

    fn load(members: &str) -> Result<(Architecture, Network)> {
        Glm4 {}.load(&format!(
            r#"{{"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
                "num_key_value_heads": 1, "head_dim": 4, "partial_rotary_factor": 0.5, "vocab_size": 10{members}}}"#
        ))
    }

    #[test]
    fn both_generations_rotate_neighbours_in_half_of_each_head_and_the_later_one_has_norms_behind() {
        for (model_type, norms) in [("glm", 5), ("glm4", 9)] {
            let (architecture, _) = load(&format!(r#", "model_type": "{model_type}""#)).unwrap();
            let table = &architecture.rotary_tables[0];
            assert!(table.interleaved);
            assert_eq!(table.inverse_frequencies, [1.0]);
            let found =
                architecture.parameters.iter().filter(|parameter| parameter.role == Role::Norm).count();
            assert_eq!(found, norms, "{model_type}");
        }
    }

    #[test]
    fn values_that_make_no_sense_or_are_not_implemented_are_named() {
        let error = |members: &str| load(members).err().unwrap().message().to_owned();
        assert_eq!(
            error(r#", "model_type": "glm4", "rope_scaling": {"type": "spiral"}"#),
            "`rope_type` is `spiral`, and only `default`, `linear`, `dynamic`, `llama3`, `yarn` and `longrope` are supported"
        );
        assert_eq!(
            error(r#", "model_type": "glm4", "attention_dropout": 0.1"#),
            "`attention_dropout` is 0.1, which is not supported"
        );
        assert_eq!(
            error(r#", "model_type": "chatglm", "architectures": ["ChatGLMModel"]"#),
            "architecture `ChatGLMModel` of model type `chatglm` is not GLM-4"
        );
    }
}
