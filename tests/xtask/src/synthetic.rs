//! Small worlds to train in: random models, a byte-level tokeniser, and arithmetic to learn.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// A generator whose numbers are the same everywhere (SplitMix64).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// Roughly normal with the given deviation: a sum of four uniform numbers.
    fn normal(&mut self, deviation: f32) -> f32 {
        let bits = self.next();
        let sum: f32 = (0..4).map(|i| ((bits >> (16 * i)) & 0xFFFF) as f32 / 65536.0 - 0.5).sum();
        sum * 1.732 * deviation
    }
}

/// Sizes of a model of the Qwen family.
pub(crate) struct Shape {
    pub architecture: &'static str,
    pub model_type: &'static str,
    pub vocab_size: u64,
    pub hidden_size: u64,
    pub intermediate_size: u64,
    pub layers: u64,
    pub heads: u64,
    pub kv_heads: u64,
    pub head_dim: u64,
    pub rope_theta: f64,
    /// Biases on the projections of queries, keys and values (Qwen2).
    pub qkv_bias: bool,
    /// Norms on queries and keys (Qwen3).
    pub qk_norm: bool,
}

impl Shape {
    /// What the demo trains: a Qwen3 in miniature.
    pub(crate) const DEMO: Self = Self {
        architecture: "Qwen3ForCausalLM",
        model_type: "qwen3",
        vocab_size: 264,
        hidden_size: 128,
        intermediate_size: 384,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_dim: 32,
        rope_theta: 10000.0,
        qkv_bias: false,
        qk_norm: true,
    };

    /// As many layers as Qwen2.5-0.5B with next to nothing to compute: what is left is how it is wired.
    pub(crate) const WIRING: Self = Self {
        vocab_size: 264,
        hidden_size: 16,
        intermediate_size: 16,
        heads: 2,
        kv_heads: 1,
        head_dim: 8,
        ..Self::QWEN2_5_0_5B
    };

    /// The shape of Qwen2.5-0.5B.
    pub(crate) const QWEN2_5_0_5B: Self = Self {
        architecture: "Qwen2ForCausalLM",
        model_type: "qwen2",
        vocab_size: 151_936,
        hidden_size: 896,
        intermediate_size: 4864,
        layers: 24,
        heads: 14,
        kv_heads: 2,
        head_dim: 64,
        rope_theta: 1_000_000.0,
        qkv_bias: true,
        qk_norm: false,
    };

    fn config(&self) -> Value {
        json!({
            "architectures": [self.architecture], "model_type": self.model_type, "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size, "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers, "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_parameters": {"rope_theta": self.rope_theta, "rope_type": "default"},
            "max_position_embeddings": 32768, "tie_word_embeddings": true, "attention_dropout": 0.0,
            "use_sliding_window": false, "sliding_window": null, "max_window_layers": self.layers, "use_cache": true,
            "attention_bias": self.qkv_bias, "torch_dtype": "float32", "bos_token_id": 256, "eos_token_id": 258,
            "pad_token_id": 256, "initializer_range": 0.02,
        })
    }

    /// Names and shapes of all tensors.
    fn tensors(&self) -> Vec<(String, Vec<u64>)> {
        let (hidden, queries, keys) =
            (self.hidden_size, self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut tensors = vec![
            ("model.embed_tokens.weight".to_owned(), vec![self.vocab_size, hidden]),
            ("model.norm.weight".to_owned(), vec![hidden]),
        ];
        for layer in 0..self.layers {
            let mut add = |name: &str, shape: &[u64]| {
                tensors.push((format!("model.layers.{layer}.{name}"), shape.to_vec()))
            };
            for (name, outputs) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
                add(&format!("self_attn.{name}.weight"), &[outputs, hidden]);
                if self.qkv_bias {
                    add(&format!("self_attn.{name}.bias"), &[outputs]);
                }
            }
            if self.qk_norm {
                add("self_attn.q_norm.weight", &[self.head_dim]);
                add("self_attn.k_norm.weight", &[self.head_dim]);
            }
            add("self_attn.o_proj.weight", &[hidden, queries]);
            add("mlp.gate_proj.weight", &[self.intermediate_size, hidden]);
            add("mlp.up_proj.weight", &[self.intermediate_size, hidden]);
            add("mlp.down_proj.weight", &[hidden, self.intermediate_size]);
            add("input_layernorm.weight", &[hidden]);
            add("post_attention_layernorm.weight", &[hidden]);
        }
        tensors
    }
}

/// Writes a model folder with random weights and a byte-level tokeniser.
pub(crate) fn write_model(folder: &Path, shape: &Shape, seed: u64) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("can't create `{}`", folder.display()))?;
    write_json(&folder.join("config.json"), &shape.config())?;
    write_weights(&folder.join("model.safetensors"), &shape.tensors(), seed)?;
    write_tokenizer(folder)
}

/// Matrices are normal with deviation 0.02, norms one and biases zero.
fn write_weights(path: &Path, tensors: &[(String, Vec<u64>)], seed: u64) -> Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut offset = 0u64;
    for (name, shape) in tensors {
        let end = offset + 4 * shape.iter().product::<u64>();
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}));
        offset = end;
    }
    let mut header = serde_json::to_vec(&Value::Object(header))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (i, (name, shape)) in tensors.iter().enumerate() {
        let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(i as u64));
        for _ in 0..shape.iter().product::<u64>() {
            let value = match shape.len() {
                1 if name.ends_with("bias") => 0.0,
                1 => 1.0,
                _ => random.normal(0.02),
            };
            file.write_all(&value.to_le_bytes())?;
        }
    }
    Ok(file.flush()?)
}

/// A tokeniser with a token for each byte and the three of ChatML.
fn write_tokenizer(folder: &Path) -> Result<()> {
    const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
    let mut vocab = Map::new();
    for (id, character) in byte_characters().into_iter().enumerate() {
        vocab.insert(character.to_string(), id.into());
    }
    let added: Vec<Value> = SPECIAL
        .iter()
        .enumerate()
        .map(|(i, content)| {
            json!({"id": 256 + i, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                  "vocab": vocab, "merges": []},
    });
    write_json(&folder.join("tokenizer.json"), &tokenizer)?;
    let template = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + \
                    '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    write_json(
        &folder.join("tokenizer_config.json"),
        &json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
                "model_max_length": 32768, "chat_template": template}),
    )
}

/// The printable character that stands for each byte in byte-level BPE (GPT-2's table): itself where it is printable,
/// else one from 256 on.
fn byte_characters() -> Vec<char> {
    let mut next = 256;
    (0u32..256)
        .map(|byte| {
            let printable = matches!(byte, 33..=126 | 161..=172 | 174..=255);
            let code = if printable { byte } else { next };
            if !printable {
                next += 1;
            }
            char::from_u32(code).unwrap_or('?')
        })
        .collect()
}

/// Rows of a JSONL file.
pub(crate) fn write_rows(path: &Path, rows: &[Value]) -> Result<()> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&row.to_string());
        text.push('\n');
    }
    fs::write(path, text).with_context(|| format!("can't write `{}`", path.display()))
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, serde_json::to_string_pretty(value)?)
        .with_context(|| format!("can't write `{}`", path.display()))
}
