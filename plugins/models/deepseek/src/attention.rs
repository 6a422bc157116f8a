//! Multi-head latent attention (DeepSeek-AI 2024, "DeepSeek-V2", section 2.1): keys and values of all heads are made from one
//! narrow vector for each token, but for a rotated part of the keys that all heads share.

use swift_plugin::decoder::{Norm, NormStyle, Sizes};
use swift_plugin::prelude::*;

/// The sizes of latent attention.
#[derive(Clone, Copy)]
pub(crate) struct Latent {
    heads: u64,
    /// Components of the vector that queries are made from, if there is one.
    q_rank: Option<u64>,
    /// Components of the vector that keys and values are made from.
    kv_rank: u64,
    /// Components of a head's keys that are not rotated.
    plain: u64,
    /// Those that are.
    pub(crate) rotated: u32,
    /// Components of a head's values.
    value: u64,
    bias: bool,
    scale: f64,
}

impl Latent {
    pub(crate) fn read(config: &Settings, sizes: &Sizes) -> Result<Self> {
        let small = |name: &str| match u32::try_from(config.size(name)?) {
            Ok(size) if size < 1 << 16 => Ok(size),
            _ => Err(Error::new(format!("`{name}` is too large"))),
        };
        let (plain, rotated, value) =
            (small("qk_nope_head_dim")?, small("qk_rope_head_dim")?, small("v_head_dim")?);
        if value > plain + rotated {
            bail!("`v_head_dim` is {value}, more than the {} components of a key", plain + rotated);
        }
        let mut scale = f64::from(plain + rotated).sqrt().recip();
        // Yarn raises scores by the square of its factor here, and not through cosine and sine.
        let rotary =
            config.section("rope_parameters")?.or(config.section("rope_scaling")?).unwrap_or_default();
        let factor = rotary.number("factor")?.unwrap_or(1.0);
        if let Some(all) = rotary.number("mscale_all_dim")?.filter(|&all| all != 0.0 && factor > 1.0) {
            scale *= (0.1 * all * factor.ln() + 1.0).powi(2);
        }
        Ok(Self {
            heads: sizes.heads.into(),
            q_rank: config.integer("q_lora_rank")?,
            kv_rank: small("kv_lora_rank")?.into(),
            plain: plain.into(),
            rotated,
            value: value.into(),
            bias: config.flag("attention_bias")?,
            scale,
        })
    }

    /// Components of a head's queries and keys.
    pub(crate) fn key_dim(&self) -> u32 {
        self.plain as u32 + self.rotated
    }

    /// Components that the cache holds of a token.
    pub(crate) fn cached(&self) -> u32 {
        self.kv_rank as u32 + self.rotated
    }
}

/// Latent attention, by the numbers of its parameters.
pub(crate) struct Attention {
    /// From hidden states to queries, maybe by way of a normed narrow vector.
    q: (Linear, Option<(Norm, Linear)>),
    kv_down: Linear,
    kv_norm: Norm,
    kv_up: Linear,
    o: Linear,
}

impl Attention {
    pub(crate) fn declare(table: &mut ParameterTable, latent: &Latent, hidden: u64, index: u32) -> Self {
        let stage = index + 1;
        let name = |part: &str| format!("model.layers.{index}.self_attn.{part}");
        // The published code leaves these at this value, whatever `rms_norm_eps` is.
        let norm = NormStyle::Rms { epsilon: 1e-6, offset: 0.0 };
        let linear = |table: &mut ParameterTable, part: &str, shape, bias, role| {
            table.add_linear(&name(part), shape, bias, role, stage)
        };
        let queries = latent.heads * u64::from(latent.key_dim());
        let q = match latent.q_rank {
            None => (linear(table, "q_proj", [queries, hidden], false, Role::Column), None),
            Some(rank) => {
                let down = linear(table, "q_a_proj", [rank, hidden], latent.bias, Role::Column);
                let normed = norm.declare(table, &name("q_a_layernorm"), rank, stage);
                (down, Some((normed, linear(table, "q_b_proj", [queries, rank], false, Role::Column))))
            }
        };
        let (rank, rotated) = (latent.kv_rank, u64::from(latent.rotated));
        let shape = [latent.heads * (latent.plain + latent.value), rank];
        Self {
            q,
            kv_down: linear(table, "kv_a_proj_with_mqa", [rank + rotated, hidden], latent.bias, Role::Column),
            kv_norm: norm.declare(table, &name("kv_a_layernorm"), rank, stage),
            kv_up: linear(table, "kv_b_proj", shape, false, Role::Column),
            o: linear(table, "o_proj", [hidden, latent.heads * latent.value], latent.bias, Role::Row),
        }
    }

    pub(crate) fn apply(&self, index: u32, x: &Tensor, latent: &Latent, context: &Context) -> Tensor {
        let (heads, rotated) = (latent.heads as i64, u64::from(latent.rotated));
        let q = match &self.q {
            (q, None) => context.linear(*q, x),
            (down, Some((norm, up))) => context.linear(*up, &norm.apply(&context.linear(*down, x), context)),
        };
        let q = q.reshape(&[-1, heads, latent.key_dim().into()]);
        let q_rotated = context.rope(0, &q.narrow(-1, latent.plain, rotated));
        let down = context.linear(self.kv_down, x);
        let k_rotated = down.narrow(-1, latent.kv_rank, rotated).reshape(&[-1, 1, rotated as i64]);
        let k_rotated = context.rope(0, &k_rotated).reshape(&[-1, rotated as i64]);
        let narrow = self.kv_norm.apply(&down.narrow(-1, 0, latent.kv_rank), context);
        let q = Tensor::cat(&[&q.narrow(-1, 0, latent.plain), &q_rotated], -1);
        let options = AttentionOptions { scale: latent.scale, window: None, soft_cap: None };
        let mixed = context.attention_projected(index, &q, &narrow, &k_rotated, self.kv_up.weight, options);
        context.linear(self.o, &mixed.reshape(&[-1, heads * latent.value as i64]))
    }
}
