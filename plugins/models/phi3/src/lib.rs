//! Decoders of Phi 3 and 4: as Llama, but queries, keys and values come from one matrix, and so do gate and values of the
//! feed-forward part.

use swift_plugin::decoder::{
    Activation, Decoder, FusedFeedForward, Norm, NormStyle, Outline, Sizes, family, read_config,
    refuse_unless, rotary_table, sliding_window,
};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of Phi 3 and 4.
    pub struct Phi3 {}
}

/// The supported architectures, with their model types.
const FAMILIES: [(&str, &str); 1] = [("Phi3ForCausalLM", "phi3")];

/// A decoder that was loaded.
pub struct Network {
    sizes: Sizes,
    activation: Activation,
    window: Option<u32>,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    qkv: Linear,
    o: Linear,
    feed_forward: FusedFeedForward,
    attention_norm: Norm,
    mlp_norm: Norm,
}

impl Model for Phi3 {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, _) = read_config(config, &FAMILIES, "Phi 3")?;
        let dropouts = ["attention_dropout", "embd_pdrop", "resid_pdrop"].map(|name| (name, Some(0.0)));
        refuse_unless(&config, &dropouts)?;
        if config.flag("attention_bias")? {
            bail!("`attention_bias` is true, which is not supported");
        }
        let sizes = Sizes::read(&config, None)?;
        let inner = config.size("intermediate_size")?;
        let norm = NormStyle::rms(&config, 1e-5)?;
        let outline = Outline {
            name: "phi3".to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            rotary_tables: vec![rotary_table(&config, sizes.head_dim)?],
        };
        let (activation, window) =
            (Activation::read(&config, "hidden_act", Activation::Silu)?, sliding_window(&config, None)?);
        let (architecture, decoder) =
            outline.declare(|table, index| Layer::declare(table, &sizes, inner, norm, index));
        Ok((architecture, Network { sizes, activation, window, decoder }))
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        network.decoder.forward(stage, input, context, |index, layer, hidden| {
            let x = layer.attention_norm.apply(hidden, context);
            let hidden = hidden + layer.attention(index, &x, network, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            Ok(hidden + layer.feed_forward.apply(&x, network.activation, context))
        })
    }
}

impl Layer {
    fn declare(table: &mut ParameterTable, sizes: &Sizes, inner: u64, norm: NormStyle, index: u32) -> Self {
        let (hidden, queries, keys) = (sizes.hidden, sizes.queries(), sizes.keys());
        let stage = index + 1;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let mut linear = |part: &str, shape, role| table.add_linear(&name(part), shape, false, role, stage);
        let qkv = linear("self_attn.qkv_proj", [queries + 2 * keys, hidden], Role::Column);
        let o = linear("self_attn.o_proj", [hidden, queries], Role::Row);
        let feed_forward = FusedFeedForward::declare(table, &name("mlp"), [inner, hidden], stage);
        let mut norm = |part: &str| norm.declare(table, &name(part), hidden, stage);
        let (attention_norm, mlp_norm) = (norm("input_layernorm"), norm("post_attention_layernorm"));
        Self { qkv, o, feed_forward, attention_norm, mlp_norm }
    }

    fn attention(&self, index: u32, x: &Tensor, network: &Network, context: &Context) -> Tensor {
        let sizes = &network.sizes;
        let (queries, keys) = (sizes.queries(), sizes.keys());
        let joined = context.linear(self.qkv, x);
        let part = |start, width| sizes.split(&joined.narrow(-1, start, width), context);
        let (q, k, v) = (part(0, queries), part(queries, keys), part(queries + keys, keys));
        let (q, k) = (context.rope(0, &q), context.rope(0, &k));
        let options = AttentionOptions { scale: sizes.scale(), window: network.window, soft_cap: None };
        context.linear(self.o, &sizes.attend(index, [&q, &k, &v], options, context))
    }
}

export!(Phi3: Model);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(members: &str) -> String {
        format!(
            r#"{{"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "hidden_size": 8, "intermediate_size": 12,
                "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 10{members}}}"#
        )
    }

    fn load(members: &str) -> Result<(Architecture, Network)> {
        Phi3 {}.load(&config(members))
    }

    fn error(members: &str) -> String {
        let declared = load(members).and_then(|(architecture, _)| {
            Phi3 {}.longer_sequences(&config(members), &architecture.rotary_tables)
        });
        declared.unwrap_err().message().to_owned()
    }

    #[test]
    fn fused_projections_have_the_widths_of_their_parts_together() {
        let (architecture, network) = load("").unwrap();
        let shape = |name: &str| {
            let name = format!("model.layers.1.{name}.weight");
            architecture.parameters.iter().find(|parameter| parameter.name == name).unwrap().shape.clone()
        };
        assert_eq!(shape("self_attn.qkv_proj"), [16, 8]);
        assert_eq!(shape("mlp.gate_up_proj"), [24, 8]);
        assert_eq!(network.window, None);
    }

    #[test]
    fn values_that_make_no_sense_or_are_not_implemented_are_named() {
        assert_eq!(error(r#", "sliding_window": -2047"#), "`sliding_window` is -2047, not above 0");
        assert_eq!(error(r#", "resid_pdrop": 0.1"#), "`resid_pdrop` is 0.1, which is not supported");
        assert_eq!(error(r#", "attention_bias": true"#), "`attention_bias` is true, which is not supported");
        assert_eq!(
            error(
                r#", "rope_scaling": {"type": "longrope", "long_factor": [1.0], "short_factor": [1.0, 1.0],
                "factor": 2.0, "original_max_position_embeddings": 8}"#
            ),
            "`long_factor` of the rotary parameters is not a list of 2 numbers above 0"
        );
    }
}
