//! What the host shows a plugin during a call. Who owns the data implements these traits.

use std::sync::Arc;

use swift_tensor::fused::AttentionOptions;
use swift_tensor::{Error, Result, Tensor};

/// One packed micro-batch, as a loss sees it: all sequences end to end, without padding.
///
/// Position `t` holds what the model predicts after reading token `t`, so `labels[t]` is the token at `t + 1`.
pub trait BatchView: Send + Sync {
    /// `[tokens]` `int64`: the token to predict at each position, -100 where none counts.
    fn labels(&self) -> Tensor;
    /// `[tokens]` `float32`: 1 where a label counts, else 0.
    fn label_mask(&self) -> Tensor;
    /// `[tokens]` `float32`: the weight of each label's loss; 0 where no label counts.
    fn loss_weights(&self) -> Tensor;
    /// `[tokens]` `int64`: the sequence each position belongs to.
    fn segment_ids(&self) -> Tensor;
    /// Tokens in each sequence, in the order that the loss's [`Input`](crate::Input) says.
    fn sequence_lengths(&self) -> Vec<u32>;
    /// Sequences of each row.
    fn group_lengths(&self) -> Vec<u32>;
    /// A numeric column of the rows, `[rows]` `float32`, or of lists of numbers, `[rows, longest]` with shorter lists filled
    /// up with NaN; none if any row lacks it.
    fn field(&self, name: &str) -> Option<Tensor>;
    /// A number for each token, `[tokens]` `float32`; none if there is no such column.
    fn token_field(&self, _name: &str) -> Option<Tensor> {
        None
    }
    /// What the teacher model computed for the batch.
    fn teacher(&self) -> Option<Arc<dyn OutputsView>> {
        None
    }
    /// Labels that count in the whole accumulation window, over all devices.
    fn global_token_count(&self) -> u64;
    /// Sequences in the whole accumulation window, over all devices.
    fn global_sequence_count(&self) -> u64;
    /// Rows in the whole accumulation window, over all devices.
    fn global_row_count(&self) -> u64;
    /// Micro-batches in the whole accumulation window, over all devices.
    fn global_batch_count(&self) -> u64;
    /// Optimiser steps taken so far.
    fn step(&self) -> u64;
    /// False during evaluation.
    fn training(&self) -> bool;
}

/// What a model computed for a batch. Nothing is computed before it is asked for, and nothing twice.
///
/// # Errors
/// Every method gives what goes wrong in the computation, an error of a model plugin as [`swift_tensor::Error::Other`].
pub trait OutputsView: Send + Sync {
    /// `[tokens]` `float32`: log-probability of each label; 0 where no label counts.
    fn token_logps(&self) -> Result<Tensor>;
    /// `[tokens]` `int64`: the most likely token at each labelled position, -1 elsewhere. Not differentiable.
    fn predictions(&self) -> Result<Tensor>;
    /// `[tokens]` `float32`: entropy in nats of the prediction at labelled positions, 0 elsewhere. Not differentiable.
    fn entropies(&self) -> Result<Tensor>;
    /// `[tokens]` `float32`: mean over the vocabulary of the logits at labelled positions, 0 elsewhere. Not
    /// differentiable.
    fn mean_logits(&self) -> Result<Tensor>;
    /// `[tokens, vocab]`: all logits, in memory at once.
    fn logits(&self) -> Result<Tensor>;
    /// Number of logits at each position. An implementation that knows it need not compute them.
    fn vocab_size(&self) -> Result<u64> {
        Ok(self.logits()?.dims().last().map_or(0, |&size| size as u64))
    }
    /// `[tokens, hidden_size]`: the last hidden states, after the final norm.
    fn hidden(&self) -> Result<Tensor>;
    /// `[sequences, hidden_size]`: the hidden state of each sequence's last token.
    fn last_hidden(&self) -> Result<Tensor>;
    /// `[sequences, outputs]` `float32`: the score head applied to [`Self::last_hidden`].
    fn scores(&self) -> Result<Tensor> {
        Err(no_score_head("scores"))
    }
    /// `[tokens, outputs]` `float32`: the score head applied to every token.
    fn token_scores(&self) -> Result<Tensor> {
        Err(no_score_head("token_scores"))
    }
}

/// What outputs without a score head say.
pub fn no_score_head(op: &'static str) -> Error {
    Error::Unsupported { op, what: "a model without a score head, which the loss did not require".into() }
}

/// A run, as a callback may look into it.
pub trait RunView: Send + Sync {
    /// Names of the trained parameters, in the optimiser's order.
    fn parameter_names(&self) -> Vec<String>;
    /// The present value of a trained parameter; none if there is no such one.
    fn parameter(&self, name: &str) -> Option<Tensor>;
}

/// What a context says that has only what models of the first contract need.
fn lacks(op: &'static str) -> Error {
    Error::Unsupported { op, what: "a context that does not implement it".into() }
}

/// The batch that a stage of a model is computed for, and the operations on the model's parameters, which are named by
/// their index in the [`Architecture`](crate::Architecture).
///
/// # Errors
/// Every operation fails if an index is none of the architecture's or shapes don't fit.
pub trait NnContext: Send + Sync {
    /// Number of positions in the packed batch.
    fn token_count(&self) -> u64;
    /// Rows of the parameter `[vocab, hidden_size]` for the batch's token ids: `[tokens, hidden_size]`.
    fn embedding(&self, parameter: u32) -> Result<Tensor>;
    /// `x W^T + b` with `W` `[out, in]` and `b` `[out]`: `[.., in]` to `[.., out]`.
    fn linear(&self, weight: u32, bias: Option<u32>, x: &Tensor) -> Result<Tensor>;
    /// `x / sqrt(mean(x^2) + epsilon) * w` over the last dimension.
    fn rms_norm(&self, weight: u32, x: &Tensor, epsilon: f64) -> Result<Tensor>;
    /// `x / sqrt(mean(x^2) + epsilon) * (offset + w)` over the last dimension.
    fn rms_norm_offset(&self, _weight: u32, _offset: f64, _x: &Tensor, _epsilon: f64) -> Result<Tensor> {
        Err(lacks("rms_norm_offset"))
    }
    /// `(x - mean(x)) / sqrt(variance(x) + epsilon) * w + b` over the last dimension.
    fn layer_norm(
        &self,
        _weight: Option<u32>,
        _bias: Option<u32>,
        _x: &Tensor,
        _epsilon: f64,
    ) -> Result<Tensor> {
        Err(lacks("layer_norm"))
    }
    /// Rotates `[tokens, heads, head_dim]` by the batch's positions, with a rotary table of the architecture.
    fn rope(&self, table: u32, x: &Tensor) -> Result<Tensor>;
    /// Causal attention inside each sequence: `q` `[tokens, heads, head_dim]`, `k` and `v` `[tokens, kv_heads, head_dim]`.
    fn attention(
        &self,
        layer: u32,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        options: &AttentionOptions,
    ) -> Result<Tensor>;
    /// The values of a parameter.
    fn parameter(&self, _parameter: u32) -> Result<Tensor> {
        Err(Error::Unsupported { op: "parameter", what: "reading a parameter".into() })
    }
    /// As [`Self::attention`], where each head also attends to a sink: a score that is a parameter `[heads]`, and a value of
    /// zero.
    fn attention_with_sinks(
        &self,
        _layer: u32,
        _qkv: [&Tensor; 3],
        _sinks: u32,
        _options: &AttentionOptions,
    ) -> Result<Tensor> {
        Err(Error::Unsupported { op: "attention_with_sinks", what: "attention with sinks".into() })
    }
    /// As [`Self::attention`], where `slopes[h] * (j - p)` is added, before the soft cap, to the score that head `h` gives the query
    /// at position `p` and the key at `j`.
    fn attention_with_slopes(
        &self,
        _layer: u32,
        _qkv: [&Tensor; 3],
        _slopes: &[f64],
        _options: &AttentionOptions,
    ) -> Result<Tensor> {
        Err(lacks("attention_with_slopes"))
    }
    /// Linear layers of experts: `x W[g]^T + b[g]` for each row of `x` `[rows, in]`, with the layer of the row's group `g`.
    /// `weights` are one `[out, in]` for each group, or a single `[groups, in, out]`; `biases` likewise, or none. `groups` are
    /// in ascending order; `tokens` are the positions that the rows come from, ascending inside each group.
    fn grouped_linear(
        &self,
        _weights: &[u32],
        _biases: &[u32],
        _x: &Tensor,
        _groups: &Tensor,
        _tokens: &Tensor,
    ) -> Result<Tensor> {
        Err(Error::Unsupported { op: "grouped_linear", what: "a model with experts".into() })
    }
    /// `silu(gate) * up`.
    fn swiglu(&self, gate: &Tensor, up: &Tensor) -> Result<Tensor>;
    /// As [`Self::attention`] for `q` `[tokens, heads, plain + rest]`, with keys and values that the layer `weight` `[heads *
    /// (plain + value), in]` makes of `x` `[tokens, in]`; `shared` `[tokens, rest]` is the rest of each head's key. The inputs
    /// are `q`, `x` and `shared`, and the result is `[tokens, heads, value]`.
    fn attention_projected(
        &self,
        _layer: u32,
        _inputs: [&Tensor; 3],
        _weight: u32,
        _options: &AttentionOptions,
    ) -> Result<Tensor> {
        Err(lacks("attention_projected"))
    }
    /// Whether the batch is learned from.
    fn training(&self) -> bool {
        false
    }
    /// Gives a tensor to later stages.
    fn hand_over(&self, _name: String, _value: Tensor) -> Result<()> {
        Err(lacks("hand_over"))
    }
    /// What earlier stages handed over under a name, in their order.
    fn handed_over(&self, _name: &str) -> Result<Vec<Tensor>> {
        Err(lacks("handed_over"))
    }
    /// Adds to what is learned by, if anything is.
    fn add_loss(&self, _loss: AddedLoss) -> Result<()> {
        Err(lacks("add_loss"))
    }
}

/// What a model adds to the loss that it learns by.
#[derive(Clone, Debug)]
pub struct AddedLoss {
    /// The metric that `value` is logged as.
    pub name: String,
    /// A scalar.
    pub value: Tensor,
    /// The factor on it.
    pub weight: f64,
}

impl AddedLoss {
    /// `weight * value`.
    ///
    /// # Errors
    /// If the value is not one floating-point number, or the weight is not finite.
    pub fn new(name: String, value: Tensor, weight: f64) -> Result<Self> {
        const OP: &str = "add_loss";
        if !value.dims().is_empty() || !value.dtype().is_float() {
            let message = format!("the loss `{name}` is {value:?} and no floating-point scalar");
            return Err(Error::invalid(OP, message));
        }
        if !weight.is_finite() {
            return Err(Error::invalid(OP, format!("the weight of the loss `{name}` is {weight}")));
        }
        Ok(Self { name, value, weight })
    }
}
