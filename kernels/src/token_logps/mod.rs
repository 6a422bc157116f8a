//! From hidden states to the log-probability of each token's label, without the logits `[tokens, vocab]`.
//!
//! With `logits = cap(hidden weight^T + bias)`, where `cap(l)` is `soft_cap * tanh(l / soft_cap)` or, without a cap, `l`, `logp = logits[label] - logsumexp(logits)`. Logits exist for 512 tokens
//! and at most 4096 vocabulary entries at a time, with a running softmax from one tile of the vocabulary to the next.
//! Temporary memory is at most 28 MiB and 1024 rows of hidden states in `T::Compute`, whatever the number of tokens
//! and the size of the vocabulary: 8 MiB of logits (16 MiB as `f64`), and where `T` has 16 bits, in which the products
//! are taken, another 4 MiB of rounded exponentials and 16 MiB of weight where the product has to convert it (more beyond
//! a width of 65536, where a tile keeps 64 entries).

mod backward;
mod forward;
mod softmax;
mod tiles;

pub use backward::{TokenLogpsGradients, backward};
pub use forward::{TokenStatistics, forward};

use crate::{Element, KernelError, check};

/// The output projection and what it is applied to.
#[derive(Clone, Copy, Debug)]
pub struct TokenLogpsInputs<'a, T> {
    /// Hidden states `[tokens, hidden]`.
    pub hidden: &'a [T],
    /// The projection `[vocab, hidden]`.
    pub weight: &'a [T],
    /// `[vocab]`.
    pub bias: Option<&'a [T]>,
    /// For each token the index whose log-probability is asked for `[tokens]`, below `vocab`.
    pub labels: &'a [i64],
    /// Size of a hidden state.
    pub width: usize,
    /// Logits become `cap * tanh(logit / cap)`; above 0.
    pub soft_cap: Option<f64>,
}

impl<T: Element> TokenLogpsInputs<'_, T> {
    fn tokens(&self) -> usize {
        self.labels.len()
    }

    fn vocab(&self) -> usize {
        self.weight.len() / self.width
    }

    fn check(&self, operation: &'static str) -> Result<(), KernelError> {
        check::rule(operation, "a width of at least 1", self.width > 0)?;
        check::rule(operation, "a soft cap above 0", self.soft_cap.is_none_or(|cap| cap > 0.0))?;
        check::length(operation, "hidden", self.hidden, &[self.tokens(), self.width])?;
        check::length(operation, "weight", self.weight, &[self.vocab(), self.width])?;
        self.bias.map_or(Ok(()), |bias| check::length(operation, "bias", bias, &[self.vocab()]))?;
        check::indices(operation, "labels", self.labels, self.vocab())
    }
}
