//! The llama family as a native definition: what the standard model plugin does, without WebAssembly in between.

use std::sync::Arc;

use serde_json::Value;
use swift_model::{Definition, Result};
use swift_runtime::{Architecture, Head, NnContext, Parameter, Role, RotaryTable};
use swift_tensor::Tensor;
use swift_tensor::fused::AttentionOptions;

/// A model of the llama family: Llama, Mistral, Qwen2, Qwen3. Stage 0 embeds, each other one is a layer, and the last also
/// applies the final norm.
#[derive(Default)]
pub(crate) struct NativeLlama {
    layers: Vec<Layer>,
    norm: u32,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    epsilon: f64,
    window: Option<usize>,
}

#[derive(Clone, Copy, Default)]
struct Layer {
    input_norm: u32,
    q: Projection,
    k: Projection,
    v: Projection,
    o: Projection,
    q_norm: Option<u32>,
    k_norm: Option<u32>,
    post_norm: u32,
    gate: Projection,
    up: Projection,
    down: Projection,
}

#[derive(Clone, Copy, Default)]
struct Projection {
    weight: u32,
    bias: Option<u32>,
}

/// Collects parameters and hands out their indices.
struct Builder {
    parameters: Vec<Parameter>,
    stage: u32,
}

impl Builder {
    fn add(&mut self, name: String, shape: &[u64], role: Role) -> u32 {
        self.parameters.push(Parameter { name, shape: shape.to_vec(), role, stage: self.stage });
        self.parameters.len() as u32 - 1
    }

    fn linear(&mut self, name: &str, shape: [u64; 2], role: Role, bias: bool) -> Projection {
        let weight = self.add(format!("{name}.weight"), &shape, role);
        let bias = bias.then(|| self.add(format!("{name}.bias"), &shape[..1], Role::Bias));
        Projection { weight, bias }
    }
}

impl Definition for NativeLlama {
    fn supports(&mut self, _architecture: &str, model_type: &str) -> Result<bool> {
        Ok(["llama", "mistral", "qwen2", "qwen3"].contains(&model_type))
    }

    fn load(&mut self, config_json: &str) -> Result<Architecture> {
        let config: Value = serde_json::from_str(config_json).unwrap();
        let number = |key: &str| config[key].as_u64();
        let model_type = config["model_type"].as_str().unwrap();
        let (hidden, vocab) = (number("hidden_size").unwrap(), number("vocab_size").unwrap());
        let inner = number("intermediate_size").unwrap();
        self.heads = number("num_attention_heads").unwrap();
        self.kv_heads = number("num_key_value_heads").unwrap_or(self.heads);
        self.head_dim = number("head_dim").unwrap_or(hidden / self.heads);
        self.epsilon = config["rms_norm_eps"].as_f64().unwrap();
        self.window =
            number("sliding_window").filter(|_| model_type == "mistral").map(|window| window as usize);
        let (q_width, kv_width) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let biased = model_type == "qwen2";
        let normed = model_type == "qwen3";

        let mut build = Builder { parameters: Vec::new(), stage: 0 };
        let embedding = build.add("model.embed_tokens.weight".into(), &[vocab, hidden], Role::Embedding);
        for i in 0..number("num_hidden_layers").unwrap() {
            build.stage += 1;
            let at = |part: &str| format!("model.layers.{i}.{part}");
            let head_norm = [self.head_dim];
            self.layers.push(Layer {
                input_norm: build.add(at("input_layernorm.weight"), &[hidden], Role::Norm),
                q: build.linear(&at("self_attn.q_proj"), [q_width, hidden], Role::Column, biased),
                k: build.linear(&at("self_attn.k_proj"), [kv_width, hidden], Role::Column, biased),
                v: build.linear(&at("self_attn.v_proj"), [kv_width, hidden], Role::Column, biased),
                o: build.linear(&at("self_attn.o_proj"), [hidden, q_width], Role::Row, false),
                q_norm: normed.then(|| build.add(at("self_attn.q_norm.weight"), &head_norm, Role::Norm)),
                k_norm: normed.then(|| build.add(at("self_attn.k_norm.weight"), &head_norm, Role::Norm)),
                post_norm: build.add(at("post_attention_layernorm.weight"), &[hidden], Role::Norm),
                gate: build.linear(&at("mlp.gate_proj"), [inner, hidden], Role::Column, false),
                up: build.linear(&at("mlp.up_proj"), [inner, hidden], Role::Column, false),
                down: build.linear(&at("mlp.down_proj"), [hidden, inner], Role::Row, false),
            });
        }
        self.norm = build.add("model.norm.weight".into(), &[hidden], Role::Norm);
        let tied = config["tie_word_embeddings"].as_bool().unwrap_or(false);
        let head =
            if tied { embedding } else { build.add("lm_head.weight".into(), &[vocab, hidden], Role::Head) };
        Ok(Architecture {
            name: model_type.into(),
            hidden_size: hidden,
            vocab_size: vocab,
            stages: build.stage + 1,
            parameters: build.parameters,
            ignored: if tied { vec!["lm_head.weight".into()] } else { Vec::new() },
            rotary_tables: vec![RotaryTable {
                inverse_frequencies: inverse_frequencies(&config, self.head_dim),
                scale: 1.0,
                interleaved: false,
                longer: None,
            }],
            head: Head { weight: head, bias: None, soft_cap: None, normalised: false },
            cache_layers: self.layers.len() as u32,
            kv_heads: self.kv_heads as u32,
            head_dim: self.head_dim as u32,
            cached_values: None,
            untrained: Vec::new(),
            full_precision: Vec::new(),
            longest_sequence: None,
            stacks: Vec::new(),
        })
    }

    fn forward(&mut self, stage: u32, input: Option<&Tensor>, context: Arc<dyn NnContext>) -> Result<Tensor> {
        let Some(input) = input else { return Ok(context.embedding(0)?) };
        let number = stage - 1;
        let hidden = self.layer(number, input, &*context)?;
        if number as usize + 1 < self.layers.len() {
            return Ok(hidden);
        }
        Ok(context.rms_norm(self.norm, &hidden, self.epsilon)?)
    }
}

impl NativeLlama {
    fn layer(&self, number: u32, x: &Tensor, context: &dyn NnContext) -> swift_tensor::Result<Tensor> {
        let layer = self.layers[number as usize];
        let linear =
            |projection: Projection, x: &Tensor| context.linear(projection.weight, projection.bias, x);
        let tokens = context.token_count() as i64;
        let split = |x: Tensor, heads: u64| x.reshape(&[tokens, heads as i64, self.head_dim as i64]);
        let norm = |weight: Option<u32>, x: Tensor| match weight {
            Some(weight) => context.rms_norm(weight, &x, self.epsilon),
            None => Ok(x),
        };
        let normed = context.rms_norm(layer.input_norm, x, self.epsilon)?;
        let q = norm(layer.q_norm, split(linear(layer.q, &normed)?, self.heads)?)?;
        let k = norm(layer.k_norm, split(linear(layer.k, &normed)?, self.kv_heads)?)?;
        let v = split(linear(layer.v, &normed)?, self.kv_heads)?;
        let scale = 1.0 / (self.head_dim as f64).sqrt();
        let options = AttentionOptions { scale, window: self.window, soft_cap: None };
        let mixed = context.attention(number, &context.rope(0, &q)?, &context.rope(0, &k)?, &v, &options)?;
        let mixed = mixed.reshape(&[tokens, (self.heads * self.head_dim) as i64])?;
        let x = x.add(&linear(layer.o, &mixed)?)?;
        let normed = context.rms_norm(layer.post_norm, &x, self.epsilon)?;
        let inner = context.swiglu(&linear(layer.gate, &normed)?, &linear(layer.up, &normed)?)?;
        x.add(&linear(layer.down, &inner)?)
    }
}

/// `theta^(-2i/head_dim)`, with llama3's scaling of the slow ones.
fn inverse_frequencies(config: &Value, head_dim: u64) -> Vec<f64> {
    let rope = &config["rope_parameters"];
    let theta = rope["rope_theta"].as_f64().unwrap();
    let plain = (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64));
    if rope["rope_type"] != "llama3" {
        return plain.collect();
    }
    let get = |key: &str| rope[key].as_f64().unwrap();
    let (factor, low, high) = (get("factor"), get("low_freq_factor"), get("high_freq_factor"));
    let length = get("original_max_position_embeddings");
    plain
        .map(|frequency| {
            let turns = length * frequency / std::f64::consts::TAU;
            let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            (1.0 - smooth) * frequency / factor + smooth * frequency
        })
        .collect()
}
