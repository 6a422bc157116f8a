//! Decoders of the llama family: RMSNorm, rotary positions, grouped-query attention, SwiGLU. What sets its members apart
//! is in one table, in `config.rs`.

mod config;
mod rotary;

use swift_plugin::prelude::*;

use config::Config;

parameters! {
    /// Decoders of the llama family: Llama, Mistral, Qwen2 and Qwen3.
    pub struct Llama {}
}

/// A decoder that was loaded, by the numbers of its parameters.
pub struct Network {
    config: Config,
    embedding: u32,
    layers: Vec<Layer>,
    norm: u32,
}

/// One block.
struct Layer {
    attention_norm: u32,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// Norms of each head's queries and keys.
    head_norms: Option<[u32; 2]>,
    mlp_norm: u32,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Model for Llama {
    type Network = Network;

    fn supports(&self, architecture: &str, model_type: &str) -> bool {
        config::family(architecture, model_type).is_some()
    }

    /// Stage 0 embeds, stages `1 ..= layers` are the blocks, and the last is the final norm.
    fn load(&self, config: &str) -> Result<(Architecture, Network)> {
        let config = Config::parse(config)?;
        let last = config.layers + 1;
        let (hidden, vocabulary) = (config.hidden_size, config.vocabulary);
        let mut table = ParameterTable::default();
        let embedding = table.add("model.embed_tokens.weight", &[vocabulary, hidden], Role::Embedding, 0);
        let layers = (0..config.layers).map(|layer| Layer::declare(&mut table, &config, layer)).collect();
        let norm = table.add("model.norm.weight", &[hidden], Role::Norm, last);
        let mut ignored = vec!["model.layers.*.self_attn.rotary_emb.inv_freq".to_owned()];
        let head = if config.tied {
            // Some checkpoints hold the shared matrix twice.
            ignored.push("lm_head.weight".to_owned());
            embedding
        } else {
            table.add("lm_head.weight", &[vocabulary, hidden], Role::Head, last)
        };
        let architecture = Architecture {
            name: config.name.to_owned(),
            hidden_size: hidden,
            vocab_size: vocabulary,
            stages: last + 1,
            parameters: table.into_parameters(),
            ignored,
            rotary_tables: vec![config.rotary.clone()],
            head: Head { weight: head, bias: None },
            cache_layers: config.layers,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
        };
        Ok((architecture, Network { config, embedding, layers, norm }))
    }

    fn forward(
        &self,
        network: &Network,
        stage: u32,
        input: Option<&Tensor>,
        context: &Context,
    ) -> Result<Tensor> {
        let config = &network.config;
        let Some(hidden) = input else { return Ok(context.embedding(network.embedding)) };
        let index = stage.checked_sub(1).unwrap_or(config.layers);
        let Some(layer) = network.layers.get(index as usize) else {
            return Ok(context.rms_norm(network.norm, hidden, config.epsilon));
        };
        let hidden = hidden
            + layer.attention(
                index,
                &context.rms_norm(layer.attention_norm, hidden, config.epsilon),
                config,
                context,
            );
        let x = context.rms_norm(layer.mlp_norm, &hidden, config.epsilon);
        let active = context.swiglu(&context.linear(layer.gate, &x), &context.linear(layer.up, &x));
        Ok(hidden + context.linear(layer.down, &active))
    }
}

impl Layer {
    fn declare(table: &mut ParameterTable, config: &Config, index: u32) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let head_dim = u64::from(config.head_dim);
        let (queries, keys) = (u64::from(config.heads) * head_dim, u64::from(config.kv_heads) * head_dim);
        let (qkv_bias, o_bias, mlp_bias) = (config.qkv_bias, config.o_bias, config.mlp_bias);
        let stage = index + 1;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let mut linear =
            |part: &str, shape, bias, role| table.add_linear(&name(part), shape, bias, role, stage);
        let q = linear("self_attn.q_proj", [queries, hidden], qkv_bias, Role::Column);
        let k = linear("self_attn.k_proj", [keys, hidden], qkv_bias, Role::Column);
        let v = linear("self_attn.v_proj", [keys, hidden], qkv_bias, Role::Column);
        let o = linear("self_attn.o_proj", [hidden, queries], o_bias, Role::Row);
        let gate = linear("mlp.gate_proj", [inner, hidden], mlp_bias, Role::Column);
        let up = linear("mlp.up_proj", [inner, hidden], mlp_bias, Role::Column);
        let down = linear("mlp.down_proj", [hidden, inner], mlp_bias, Role::Row);
        let mut norm = |part: &str, size| table.add(name(part), &[size], Role::Norm, stage);
        let head_norms = config
            .head_norms
            .then(|| [norm("self_attn.q_norm.weight", head_dim), norm("self_attn.k_norm.weight", head_dim)]);
        let attention_norm = norm("input_layernorm.weight", hidden);
        let mlp_norm = norm("post_attention_layernorm.weight", hidden);
        Self { attention_norm, q, k, v, o, head_norms, mlp_norm, gate, up, down }
    }

    fn attention(&self, index: u32, x: &Tensor, config: &Config, context: &Context) -> Tensor {
        let head_dim = config.head_dim.into();
        let split = |x: Tensor| x.reshape(&[-1, i64::from(config.heads), head_dim]);
        let split_shared = |x: Tensor| x.reshape(&[-1, i64::from(config.kv_heads), head_dim]);
        let mut q = split(context.linear(self.q, x));
        let mut k = split_shared(context.linear(self.k, x));
        let v = split_shared(context.linear(self.v, x));
        if let Some([q_norm, k_norm]) = self.head_norms {
            q = context.rms_norm(q_norm, &q, config.epsilon);
            k = context.rms_norm(k_norm, &k, config.epsilon);
        }
        let options = AttentionOptions {
            scale: f64::from(config.head_dim).sqrt().recip(),
            window: config.window(index),
            soft_cap: None,
        };
        let mixed = context.attention(index, &context.rope(0, &q), &context.rope(0, &k), &v, options);
        let joined = mixed.reshape(&[-1, i64::from(config.heads) * head_dim]);
        context.linear(self.o, &joined)
    }
}

export!(Llama: Model);

#[cfg(test)]
mod tests;
