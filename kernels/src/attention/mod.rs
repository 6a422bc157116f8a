//! Causal attention over packed sequences, after FlashAttention-2 (Dao 2023): scores exist for one tile at a time, so
//! that memory grows with the length and not with its square.
//!
//! Sequences lie end to end, and a token attends inside its own. With `p` the position of the query and `j` of the key,
//! `s[p, j] = cap(scale * q[p] . k[j] + slope * (j - p))` for `p - window < j <= p`, `out[p] = sum over j of softmax(s[p])[j]
//! v[j]`, and `cap(s) = soft_cap * tanh(s / soft_cap)` where there is a soft cap. Each query head has a slope (Press et al. 2022,
//! "ALiBi", section 3), or none has. Query heads share a key-value head in groups of `heads / kv_heads` neighbours.

mod backward;
mod forward;
pub mod paged;
mod rows;
mod scores;

pub use backward::{AttentionGradients, backward};
pub use forward::{forward, forward_with_sinks};

use crate::{KernelError, check};

/// What attention is computed from.
#[derive(Clone, Copy, Debug)]
pub struct AttentionInputs<'a, T> {
    /// Queries `[tokens, heads, head_dim]`.
    pub q: &'a [T],
    /// Keys `[tokens, kv_heads, head_dim]`.
    pub k: &'a [T],
    /// Values `[tokens, kv_heads, head_dim]`.
    pub v: &'a [T],
    /// By how much a head's score grows from one key to the next, `[heads]`; empty for no such slopes.
    pub slopes: &'a [f64],
}

/// The sizes of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape<'a> {
    /// Tokens of each sequence; they add up to `tokens`. A sequence may be empty.
    pub lengths: &'a [usize],
    /// Query heads, a multiple of `kv_heads`.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Components of each head.
    pub head_dim: usize,
}

/// The options of attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionOptions {
    /// Factor on the scores, usually `1 / sqrt(head_dim)`.
    pub scale: f64,
    /// A token sees itself and the `window - 1` before it; all before it when none.
    pub window: Option<usize>,
    /// Scores become `cap * tanh(score / cap)`.
    pub soft_cap: Option<f64>,
}

/// Keys of a tile.
const KEYS: usize = 128;
/// Rows of a tile, one for each query token and head of a group, about.
const ROWS: usize = 128;

impl AttentionShape<'_> {
    fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Query heads that share a key-value head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Query tokens of a tile.
    fn tile_tokens(&self) -> usize {
        (ROWS / self.group()).max(8)
    }

    fn check<T>(
        &self,
        operation: &'static str,
        inputs: &AttentionInputs<'_, T>,
        options: &AttentionOptions,
    ) -> Result<(), KernelError> {
        let &Self { heads, kv_heads, head_dim, .. } = self;
        check::rule(
            operation,
            "at least one head of at least one component",
            heads.min(kv_heads).min(head_dim) > 0,
        )?;
        check::rule(
            operation,
            "a number of heads that is a multiple of the number of key-value heads",
            heads % kv_heads == 0,
        )?;
        check::rule(operation, "a window of at least 1", options.window != Some(0))?;
        check::rule(operation, "a soft cap above 0", options.soft_cap.is_none_or(|cap| cap > 0.0))?;
        check::rule(operation, "a slope for each head", [0, heads].contains(&inputs.slopes.len()))?;
        let tokens = self.lengths.iter().fold(0usize, |sum, &length| sum.saturating_add(length));
        check::length(operation, "q", inputs.q, &[tokens, heads, head_dim])?;
        check::length(operation, "k", inputs.k, &[tokens, kv_heads, head_dim])?;
        check::length(operation, "v", inputs.v, &[tokens, kv_heads, head_dim])
    }
}
