//! Attention whose keys and values a linear layer makes of one narrow vector for each token.
//!
//! With `W_k[h]` and `W_v[h]` the rows of the layer that make the key and the value of head `h`, a score is `q[h] . (W_k[h] x) =
//! (q[h] W_k[h]) . x`, and a sum of values `sum_j p_j W_v[h] x_j = W_v[h] sum_j p_j x_j` (DeepSeek-AI 2024, "DeepSeek-V2", section
//! 2.1.2). So where sequences continue from a cache, queries go to the narrow vectors, of which alone the cache has to know.

use swift_runtime::NnContext as _;
use swift_tensor::fused::{self, AttentionOptions, Way};
use swift_tensor::{Error, Result, Tensor, cat};

use crate::adapter::adapted_heads;
use crate::batch::Cached;
use crate::context::Context;

const OP: &str = "attention_projected";

/// The sizes of such an attention.
#[derive(Clone, Copy)]
struct Sizes {
    tokens: usize,
    /// Components of the vector that keys and values are made of.
    narrow: usize,
    /// Components of a head's key that are made of it, and those that all heads share.
    key: [usize; 2],
    /// Components of a head's value.
    value: usize,
}

impl Sizes {
    /// # Errors
    /// If shapes don't fit together.
    fn of([q, x, shared]: [&Tensor; 3], weight: &Tensor) -> Result<Self> {
        let sizes = match (q.dims(), x.dims(), shared.dims(), weight.dims()) {
            (&[tokens, heads, key], &[x_tokens, narrow], &[shared_tokens, rest], &[rows, columns])
                if [x_tokens, shared_tokens] == [tokens; 2] && columns == narrow && rest < key =>
            {
                let of_head = rows.checked_div(heads).filter(|of_head| of_head * heads == rows);
                let value = of_head.and_then(|of_head| of_head.checked_sub(key - rest));
                let key = [key - rest, rest];
                value.map(|value| Self { tokens, narrow, key, value })
            }
            _ => None,
        };
        sizes.filter(|sizes| sizes.value.min(sizes.narrow) > 0).ok_or_else(|| {
            let shapes = [q, x, shared, weight].map(|tensor| format!("{:?}", tensor.dims())).join(", ");
            Error::invalid(
                OP,
                format!("queries, vectors, shared parts and weight don't fit together: {shapes}"),
            )
        })
    }
}

impl Context {
    pub(crate) fn attend_projected(
        &self,
        layer: u32,
        [q, x, shared]: [&Tensor; 3],
        weight: u32,
        options: &AttentionOptions,
    ) -> Result<Tensor> {
        let matrix = self.network.parameter(OP, weight, Some(self.stage))?;
        let (sizes, layer) = (Sizes::of([q, x, shared], &matrix)?, self.cache_layer(layer)?);
        match &self.batch.cached {
            Some(cached) => absorbed(cached, layer, [q, x, shared], (weight, &matrix), sizes, options),
            None => {
                let made = self.linear(weight, None, x)?;
                fused::attention_projected(q, &made, shared, &self.batch.lengths, options)
            }
        }
    }
}

/// Attention to the narrow vectors themselves.
fn absorbed(
    cached: &Cached,
    layer: usize,
    [q, x, shared]: [&Tensor; 3],
    (index, weight): (u32, &Tensor),
    sizes: Sizes,
    options: &AttentionOptions,
) -> Result<Tensor> {
    let Sizes { tokens, narrow, key: [plain, rest], value, .. } = sizes;
    let by_head =
        |x: &Tensor, rows, way| adapted_heads(x, index as usize, weight, rows, way, &cached.adapters);
    let own = by_head(&q.narrow(2, 0, plain as u64)?, 0..plain, Way::Back)?;
    let q = cat(&[&own, &q.narrow(2, plain as u64, rest as u64)?], 2)?;
    let k = cat(&[x, shared], 1)?.reshape(&[tokens as i64, 1, (narrow + rest) as i64])?;
    let mixed = cached.cache.attention_to_keys(layer, [&q, &k], narrow, &cached.step, options)?;
    by_head(&mixed, plain..plain + value, Way::Forth)
}
