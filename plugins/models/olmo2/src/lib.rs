//! Decoders of OLMo 2: as Llama, but norms follow attention and the feed-forward part instead of going before them, and
//! queries and keys are normed as a whole.

use swift_plugin::decoder::{
    Activation, Decoder, Norm, NormStyle, Outline, Sizes, names, refuse_quantised, refuse_unless,
    rotary_table,
};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of OLMo 2.
    pub struct Olmo2 {}
}

/// A decoder that was loaded.
pub struct Network {
    sizes: Sizes,
    activation: Activation,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// Norms of all queries of a token, and of all its keys.
    q_norm: Norm,
    k_norm: Norm,
    gate: Linear,
    up: Linear,
    down: Linear,
    /// Norms of what attention and the feed-forward part give.
    attention_norm: Norm,
    mlp_norm: Norm,
}

impl Model for Olmo2 {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        architecture == "Olmo2ForCausalLM" || (architecture.is_empty() && model_type == "olmo2")
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let config = Settings::parse(config)?;
        let (architecture, model_type) = names(&config)?;
        if !self.supports(architecture, model_type) {
            bail!("architecture `{architecture}` of model type `{model_type}` is not OLMo 2");
        }
        refuse_quantised(&config)?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0))])?;
        let sizes = Sizes::read(&config, None)?;
        let inner = config.size("intermediate_size")?;
        let norm = NormStyle::Rms { epsilon: config.number("rms_norm_eps")?.unwrap_or(1e-5), offset: 0.0 };
        let outline = Outline {
            name: "olmo2".to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            head_bias: false,
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
            let (gate, up) = (context.linear(layer.gate, &hidden), context.linear(layer.up, &hidden));
            let output = context.linear(layer.down, &network.activation.gate(&gate, &up, context));
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
        let (hidden, queries, keys) = (sizes.hidden, sizes.queries(), sizes.keys());
        let stage = index + 1;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let mut linear =
            |part: &str, shape, bias, role| table.add_linear(&name(part), shape, bias, role, stage);
        let q = linear("self_attn.q_proj", [queries, hidden], bias, Role::Column);
        let k = linear("self_attn.k_proj", [keys, hidden], bias, Role::Column);
        let v = linear("self_attn.v_proj", [keys, hidden], bias, Role::Column);
        let o = linear("self_attn.o_proj", [hidden, queries], bias, Role::Row);
        let gate = linear("mlp.gate_proj", [inner, hidden], false, Role::Column);
        let up = linear("mlp.up_proj", [inner, hidden], false, Role::Column);
        let down = linear("mlp.down_proj", [hidden, inner], false, Role::Row);
        let mut norm = |part: &str, width| norm.declare(table, &name(part), width, stage);
        let (q_norm, k_norm) = (norm("self_attn.q_norm", queries), norm("self_attn.k_norm", keys));
        let attention_norm = norm("post_attention_layernorm", hidden);
        let mlp_norm = norm("post_feedforward_layernorm", hidden);
        Self { q, k, v, o, q_norm, k_norm, gate, up, down, attention_norm, mlp_norm }
    }

    fn attention(&self, index: u32, x: &Tensor, sizes: &Sizes, context: &Context) -> Tensor {
        let q = sizes.split(&self.q_norm.apply(&context.linear(self.q, x), context), context);
        let k = sizes.split(&self.k_norm.apply(&context.linear(self.k, x), context), context);
        let v = sizes.split(&context.linear(self.v, x), context);
        let (q, k) = (context.rope(0, &q), context.rope(0, &k));
        let options = AttentionOptions { scale: sizes.scale(), window: None, soft_cap: None };
        context.linear(self.o, &sizes.attend(index, [&q, &k, &v], options, context))
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
