//! Attention of grouped queries, with what its members have besides: norms of heads, one matrix for queries, keys and values.

use swift_plugin::decoder::{Norm, NormStyle, Projections, Sizes};
use swift_plugin::prelude::*;

use crate::config::Config;
use crate::families::Joined;

/// Attention of one layer, by the numbers of its parameters.
pub(crate) struct Attention {
    inputs: Inputs,
    o: Linear,
    /// Norms of each head's queries and keys.
    head_norms: Option<[Norm; 2]>,
}

/// Where queries, keys and values come from.
enum Inputs {
    Apart(Projections),
    Joined(Linear),
}

impl Attention {
    pub(crate) fn declare(table: &mut ParameterTable, config: &Config, index: u32) -> Self {
        let (sizes, stage) = (&config.sizes, index + 1);
        let name = |part: &str| format!("model.layers.{index}.self_attn.{part}");
        let (inputs, o) = if config.joined == Joined::No {
            let all = Projections::declare(table, sizes, [config.qkv_bias, config.o_bias], index);
            (Inputs::Apart(all), all.o)
        } else {
            let (queries, hidden) = (sizes.queries(), sizes.hidden);
            let mut linear =
                |part: &str, shape, bias, role| table.add_linear(&name(part), shape, bias, role, stage);
            let shape = [queries + 2 * sizes.keys(), hidden];
            let qkv = linear("qkv_proj", shape, config.qkv_bias, Role::Column);
            (Inputs::Joined(qkv), linear("o_proj", [hidden, queries], config.o_bias, Role::Row))
        };
        let (NormStyle::Rms { epsilon, .. } | NormStyle::Layer { epsilon, .. }) = config.norm;
        let head_norms = config.head_norms.map(|(names, _)| {
            let style = NormStyle::Rms { epsilon, offset: 0.0 };
            names.map(|part| style.declare(table, &name(part), sizes.head_dim.into(), stage))
        });
        Self { inputs, o, head_norms }
    }

    pub(crate) fn apply(&self, index: u32, x: &Tensor, config: &Config, context: &Context) -> Tensor {
        let sizes = &config.sizes;
        let [mut q, mut k, v] = match &self.inputs {
            Inputs::Apart(projections) => projections.split(x, sizes, context),
            Inputs::Joined(qkv) => cut(&context.linear(*qkv, x), config.joined, sizes, context),
        };
        let normed_last = config.head_norms.is_some_and(|(_, last)| last);
        let normed = |q: Tensor, k: Tensor, now: bool| match self.head_norms.filter(|_| now) {
            Some([q_norm, k_norm]) => (q_norm.apply(&q, context), k_norm.apply(&k, context)),
            None => (q, k),
        };
        (q, k) = normed(q, k, !normed_last);
        let (window, rotated) = config.layer(index);
        if rotated && config.rotary.is_some() {
            (q, k) = (context.rope(0, &q), context.rope(0, &k));
        }
        (q, k) = normed(q, k, normed_last);
        let options = AttentionOptions { scale: config.factors.scores, window, soft_cap: None };
        let mixed = match config.slopes.as_slice() {
            [] => context.attention(index, &q, &k, &v, options),
            slopes => context.attention_with_slopes(index, &q, &k, &v, slopes, options),
        };
        context.linear(self.o, &mixed.reshape(&[-1, sizes.queries() as i64]))
    }
}

/// Queries, keys and values of what one matrix gave, head by head: `[tokens, heads, head_dim]`.
fn cut(x: &Tensor, joined: Joined, sizes: &Sizes, context: &Context) -> [Tensor; 3] {
    let (queries, keys) = (sizes.queries(), sizes.keys());
    if joined == Joined::Parts {
        return [(0, queries), (queries, keys), (queries + keys, keys)]
            .map(|(start, width)| sizes.split(&x.narrow(-1, start, width), context));
    }
    let (group, width) = (u64::from(sizes.heads / sizes.kv_heads), u64::from(sizes.head_dim));
    let heads = x.reshape(&[-1, sizes.kv_heads.into(), ((group + 2) * width) as i64]);
    [(0, group), (group, 1), (group + 1, 1)]
        .map(|(start, count)| sizes.split(&heads.narrow(-1, start * width, count * width), context))
}
