use super::Sizes;
use crate::{Context, Linear, ParameterTable, Role, Tensor};

/// The projections around attention, by the numbers of their parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projections {
    /// From hidden states to all queries, `[heads * head_dim, hidden_size]`.
    pub q: Linear,
    /// To all keys, `[kv_heads * head_dim, hidden_size]`.
    pub k: Linear,
    /// To all values, of the shape of `k`.
    pub v: Linear,
    /// From what attention gives back to hidden states, `[hidden_size, heads * head_dim]`.
    pub o: Linear,
}

impl Projections {
    /// Adds those of layer `index` under the usual names, with biases of the first three and of the last.
    pub fn declare(
        table: &mut ParameterTable,
        sizes: &Sizes,
        [qkv_bias, o_bias]: [bool; 2],
        index: u32,
    ) -> Self {
        let (hidden, queries, keys) = (sizes.hidden, sizes.queries(), sizes.keys());
        let mut linear = |part: &str, shape, bias, role| {
            table.add_linear(&format!("model.layers.{index}.self_attn.{part}"), shape, bias, role, index + 1)
        };
        Self {
            q: linear("q_proj", [queries, hidden], qkv_bias, Role::Column),
            k: linear("k_proj", [keys, hidden], qkv_bias, Role::Column),
            v: linear("v_proj", [keys, hidden], qkv_bias, Role::Column),
            o: linear("o_proj", [hidden, queries], o_bias, Role::Row),
        }
    }

    /// Queries, keys and values of `x` `[tokens, hidden_size]`, head by head: `[tokens, heads, head_dim]`.
    #[track_caller]
    pub fn split(&self, x: &Tensor, sizes: &Sizes, context: &Context) -> [Tensor; 3] {
        [self.q, self.k, self.v].map(|layer| sizes.split(&context.linear(layer, x), context))
    }
}
