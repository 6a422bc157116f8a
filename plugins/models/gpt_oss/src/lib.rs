//! Decoders of gpt-oss (Agarwal et al. 2025): sinks, layers with and without a window, experts in stacks of matrices with
//! biases and a clamped gate.

use swift_plugin::decoder::{
    Decoder, Norm, NormStyle, Outline, Sizes, family, layer_types, read_config, refuse_unless, rotary_table,
    sliding_window,
};
use swift_plugin::mixture::{Attention, AttentionStyle, Balance, ExpertSizes, Routing, top_k};
use swift_plugin::prelude::*;

parameters! {
    /// Decoders of gpt-oss.
    pub struct GptOss {}
}

/// The supported architectures, with their model types.
const FAMILIES: [(&str, &str); 1] = [("GptOssForCausalLM", "gpt_oss")];

/// A decoder that was loaded.
pub struct Network {
    sizes: Sizes,
    experts: ExpertSizes,
    balance: Option<Balance>,
    window: Option<u32>,
    /// Whether each layer looks back only over the window.
    slides: Vec<bool>,
    /// The largest gate, and how steep it is.
    limit: f64,
    alpha: f64,
    inner: u64,
    decoder: Decoder<Layer>,
}

/// One layer, by the numbers of its parameters.
struct Layer {
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    router: Linear,
    gate_up: Grouped,
    down: Grouped,
}

impl Model for GptOss {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        family(&FAMILIES, architecture, model_type).is_some()
    }

    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let (config, _) = read_config(config, &FAMILIES, "gpt-oss")?;
        refuse_unless(&config, &[("attention_dropout", Some(0.0))])?;
        let sizes = Sizes::read(&config, Some(64))?;
        let experts = ExpertSizes::read(&config, &["num_local_experts", "num_experts"])?;
        let inner = config.size("intermediate_size")?;
        let norm = NormStyle::rms(&config, 1e-5)?;
        let bias = config.flag_or("attention_bias", true)?;
        let style = AttentionStyle { qkv_bias: bias, o_bias: bias, head_norms: None, sinks: true };
        let outline = Outline {
            name: "gpt_oss".to_owned(),
            sizes,
            norm,
            tied: config.flag("tie_word_embeddings")?,
            rotary_tables: vec![rotary_table(&config, sizes.head_dim)?],
        };
        let (architecture, decoder) = outline
            .declare(|table, index| Layer::declare(table, &sizes, experts.count, inner, norm, style, index));
        let slides = match layer_types(&config, sizes.layers)? {
            Some(slides) => slides,
            None => (0..sizes.layers).map(|layer| layer % 2 == 0).collect(),
        };
        let network = Network {
            sizes,
            experts,
            balance: Balance::read(&config, experts)?,
            window: sliding_window(&config, Some(128))?,
            slides,
            limit: config.number("swiglu_limit")?.unwrap_or(7.0),
            alpha: config.number("swiglu_alpha")?.unwrap_or(1.702),
            inner,
            decoder,
        };
        Ok((architecture, network))
    }

    fn full_precision(&self, network: &Network) -> Vec<u32> {
        network.decoder.layers().iter().map(|layer| layer.router.weight).collect()
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
            let slides = network.slides.get(index as usize) == Some(&true);
            let window = network.window.filter(|_| slides);
            let hidden = hidden + layer.attention.apply(index, &x, &network.sizes, window, context);
            let x = layer.mlp_norm.apply(&hidden, context);
            let logits = context.linear(layer.router, &x).at_least_float32();
            let (chosen, experts) = top_k(&logits, network.experts.chosen);
            let routing = Routing { weights: chosen.softmax(-1), experts };
            if let Some(balance) = network.balance {
                balance.observe(&logits.softmax(-1), &routing, context)?;
            }
            let output = routing.apply(&x, |x, rows| {
                let active = network.gated(&rows.linear(&layer.gate_up, x, context));
                rows.linear(&layer.down, &active, context)
            });
            Ok(hidden + output?)
        })
    }
}

impl Network {
    /// `(u + 1) g sigmoid(alpha g)` with `g` at most and `u` within the limit; gates and their halves lie in turn.
    fn gated(&self, gate_up: &Tensor) -> Tensor {
        let pairs = gate_up.reshape(&[-1, self.inner as i64, 2]);
        let half = |which: u64| pairs.narrow(-1, which, 1).reshape(&[-1, self.inner as i64]);
        let gate = half(0).clamp(f64::NEG_INFINITY, self.limit);
        let up = half(1).clamp(-self.limit, self.limit);
        let glu = &gate * (&gate * self.alpha).sigmoid();
        (up + 1.0) * glu
    }
}

impl Layer {
    fn declare(
        table: &mut ParameterTable,
        sizes: &Sizes,
        count: u64,
        inner: u64,
        norm: NormStyle,
        style: AttentionStyle,
        index: u32,
    ) -> Self {
        let (stage, hidden) = (index + 1, sizes.hidden);
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let mut grouped = |part: &str, [inputs, outputs]: [u64; 2], role| {
            let name = name(&format!("mlp.experts.{part}"));
            let bias = format!("{name}_bias");
            Grouped {
                weights: vec![table.add(name, &[count, inputs, outputs], role, stage)],
                biases: vec![table.add(bias, &[count, outputs], Role::Bias, stage)],
            }
        };
        let gate_up = grouped("gate_up_proj", [hidden, 2 * inner], Role::Column);
        let down = grouped("down_proj", [inner, hidden], Role::Row);
        Self {
            attention_norm: norm.declare(table, &name("input_layernorm"), hidden, stage),
            attention: Attention::declare(table, sizes, style, index),
            mlp_norm: norm.declare(table, &name("post_attention_layernorm"), hidden, stage),
            router: table.add_linear(&name("mlp.router"), [count, hidden], true, Role::Column, stage),
            gate_up,
            down,
        }
    }
}

export!(GptOss: Model);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_sense_are_named() {
        let error = |members: &str| {
            let config = format!(
                r#"{{"architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "hidden_size": 8, "head_dim": 4,
                    "intermediate_size": 12, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 10,
                    "num_hidden_layers": 2{members}}}"#
            );
            GptOss {}.load(&config).err().unwrap().message().to_owned()
        };
        assert_eq!(error(r#", "num_local_experts": 0"#), "`num_local_experts` is 0");
        let experts = r#", "num_local_experts": 4, "num_experts_per_tok": 2"#;
        assert_eq!(
            error(&format!(r#"{experts}, "layer_types": ["full_attention"]"#)),
            "`layer_types` has 1 entries, and `num_hidden_layers` is 2"
        );
        assert_eq!(
            error(&format!(r#"{experts}, "quantization_config": {{"quant_method": "mxfp4"}}"#)),
            "`quantization_config` is set, and quantised weights are not supported"
        );
    }
}
