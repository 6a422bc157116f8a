//! Training objectives.

use std::panic::Location;

use crate::{Parameters, Result, Tensor, backend, bail};

pub use crate::bindings::loss::{Input, Requirements, TrainedParts};

/// A training objective: hyper-parameters and one function.
pub trait Loss: Parameters {
    /// What the loss needs of the trainer. Conversations and nothing else, unless a loss says so.
    fn requirements(&self) -> Requirements {
        Requirements::default()
    }

    /// Computes the loss of one micro-batch: its share of the loss of the whole accumulation window, so that shares
    /// can be summed. `reference` has the outputs of the frozen reference model if the requirements ask for it.
    ///
    /// # Errors
    /// Whatever keeps the loss from being computed; the run ends with it.
    fn compute(&self, batch: &Batch, policy: &Outputs, reference: Option<&Outputs>) -> Result<Report>;

    /// What the loss remembers between steps, to be written into checkpoints. Most remember nothing.
    fn save_state(&self) -> String {
        String::new()
    }

    /// Takes up what [`save_state`](Self::save_state) gave, when a run is resumed.
    ///
    /// # Errors
    /// If it is no such state.
    fn restore_state(&mut self, _state: &str) -> Result<()> {
        Ok(())
    }
}

/// Conversations and nothing else.
impl Default for Requirements {
    fn default() -> Self {
        Self {
            input: Input::Causal,
            trained_parts: TrainedParts::Answers,
            reference: false,
            teacher: false,
            score_head: None,
            disable_dropout: false,
        }
    }
}

/// One packed micro-batch.
///
/// All sequences lie end to end in one run of `tokens` positions; there is no padding. Position `t` holds what the model
/// predicts after reading token `t`, so labels are already shifted.
pub struct Batch<'a>(pub(crate) backend::Batch<'a>);

/// What a model computed for a batch. Nothing is computed before it is asked for, and nothing twice.
pub struct Outputs<'a>(pub(crate) backend::Outputs<'a>);

/// Forwards methods from rows of documentation, name, arguments and result.
macro_rules! views {
    (impl $type:ident { $($(#[$doc:meta])* $name:ident -> Tensor;)* }) => {
        impl $type<'_> {$(
            $(#[$doc])*
            pub fn $name(&self) -> Tensor {
                backend::given(self.0.$name())
            }
        )*}
    };
    (impl $type:ident { $($(#[$doc:meta])* $name:ident -> Result<Tensor>;)* }) => {
        impl $type<'_> {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// If the host could not compute them.
            #[track_caller]
            pub fn $name(&self) -> Result<Tensor> {
                Tensor::made(Location::caller(), self.0.$name()).check()
            }
        )*}
    };
    (impl $type:ident { $($(#[$doc:meta])* $name:ident -> $result:ty;)* }) => {
        impl $type<'_> {$(
            $(#[$doc])*
            pub fn $name(&self) -> $result {
                self.0.$name()
            }
        )*}
    };
}

views! {
    impl Batch {
        /// `[tokens]` `int64`: the token to predict at each position, -100 where none counts.
        labels -> Tensor;
        /// `[tokens]` `float32`: 1 where a label counts, else 0.
        label_mask -> Tensor;
        /// `[tokens]` `float32`: the weight of each label's loss; 0 where no label counts.
        loss_weights -> Tensor;
        /// `[tokens]` `int64`: the sequence each position belongs to.
        segment_ids -> Tensor;
    }
}

views! {
    impl Batch {
        /// Labels that count in the whole accumulation window, over all devices.
        global_token_count -> u64;
        /// Sequences in the whole accumulation window, over all devices.
        global_sequence_count -> u64;
        /// Rows in the whole accumulation window, over all devices: conversations, pairs, groups.
        global_row_count -> u64;
        /// Micro-batches in the whole accumulation window, over all devices.
        global_batch_count -> u64;
        /// Optimiser steps taken so far.
        step -> u64;
    }
}

impl Batch<'_> {
    /// Tokens in each sequence. Preference pairs come as two consecutive runs: all chosen, then all rejected; the mismatches
    /// of unpaired preferences after all rows' own sequences; groups row by row.
    pub fn sequence_lengths(&self) -> Vec<u32> {
        self.0.sequence_lengths()
    }

    /// Sequences of each row, for rows of several sequences that differ in their number.
    pub fn group_lengths(&self) -> Vec<u32> {
        self.0.group_lengths()
    }

    /// Sequences in the micro-batch.
    pub fn sequence_count(&self) -> u64 {
        self.sequence_lengths().len() as u64
    }

    /// Preference pairs in the whole accumulation window, over all devices.
    pub fn global_pair_count(&self) -> u64 {
        self.global_row_count()
    }

    /// False during evaluation.
    pub fn training(&self) -> bool {
        self.0.training()
    }

    /// A numeric column of the rows, `[rows]` `float32`, true and false being 1 and 0. A column of lists is `[rows, longest]`,
    /// shorter lists filled up with NaN. None if any row lacks it.
    pub fn field(&self, name: &str) -> Option<Tensor> {
        self.0.field(name).map(backend::given)
    }

    /// A number for each token, `[tokens]` `float32`: `old_logps`, `advantages` of rollouts. None if there is no such column.
    pub fn token_field(&self, name: &str) -> Option<Tensor> {
        self.0.token_field(name).map(backend::given)
    }

    /// Calls `f` with what the teacher model computed for the batch.
    ///
    /// # Errors
    /// If there is no teacher model, and what `f` gives.
    pub fn with_teacher<T>(&self, f: impl FnOnce(&Outputs) -> Result<T>) -> Result<T> {
        let Some(teacher) = self.0.teacher() else { bail!("the outputs of the teacher model are missing") };
        f(&Outputs(backend::lent(&teacher)))
    }

    /// The sum of a value per token over each sequence: `[tokens]` to `[sequences]`.
    #[track_caller]
    pub fn sum_by_sequence(&self, per_token: &Tensor) -> Tensor {
        per_token.segment_sum(&self.segment_ids(), self.sequence_count())
    }

    /// The mean of a value per token over each sequence's labelled positions: `[tokens]` to `[sequences]`. The value is 0
    /// where no label counts, as that of [`Outputs::token_logps`] is; a sequence without labels has the mean 0.
    #[track_caller]
    pub fn mean_by_sequence(&self, per_token: &Tensor) -> Tensor {
        self.sum_by_sequence(per_token) / self.sum_by_sequence(&self.label_mask()).maximum(1.0)
    }

    /// The chosen and the rejected half of a value per sequence: `[sequences]` to twice `[pairs]`.
    #[track_caller]
    pub fn split_sequences(&self, per_sequence: &Tensor) -> (Tensor, Tensor) {
        let pairs = self.sequence_count() / 2;
        (per_sequence.narrow(0, 0, pairs), per_sequence.narrow(0, pairs, pairs))
    }

    /// The chosen and the rejected part of a value per token: `[tokens]` to two runs of tokens.
    #[track_caller]
    pub fn split_tokens(&self, per_token: &Tensor) -> (Tensor, Tensor) {
        let lengths = self.sequence_lengths();
        let tokens: u64 = lengths.iter().copied().map(u64::from).sum();
        let chosen: u64 = lengths.iter().take(lengths.len() / 2).copied().map(u64::from).sum();
        (per_token.narrow(0, 0, chosen), per_token.narrow(0, chosen, tokens - chosen))
    }

    /// The mean of a value per token over all labelled positions of the chosen, and of the rejected sequences: `[tokens]`
    /// to two scalars. The value is 0 where no label counts.
    #[track_caller]
    pub fn split_means(&self, per_token: &Tensor) -> (Tensor, Tensor) {
        let (chosen, rejected) = self.split_tokens(per_token);
        let (chosen_mask, rejected_mask) = self.split_tokens(&self.label_mask());
        let mean = |values: Tensor, mask: Tensor| values.sum_all() / mask.sum_all().maximum(1.0);
        (mean(chosen, chosen_mask), mean(rejected, rejected_mask))
    }
}

impl Batch<'_> {
    /// What losses of pairs add so that chosen answers stay likely: `weight` times the negative log-likelihood of their
    /// tokens, the mean over the labelled ones of the micro-batch, and that over the micro-batches of the window. As a share
    /// of the window's loss, and without weight and window, to be logged as `nll_loss`; both scalars.
    ///
    /// The latter is 0 if the weight is, as TRL has it. `token_logps` is that of [`Outputs::token_logps`].
    #[track_caller]
    pub fn chosen_nll(&self, token_logps: &Tensor, weight: f64) -> (Tensor, Tensor) {
        let counts = if weight == 0.0 { 0.0 } else { 1.0 };
        let nll = -self.split_means(token_logps).0 * counts;
        (&nll * weight / self.global_batch_count(), nll)
    }
}

views! {
    impl Outputs {
        /// `[tokens]` `float32`: log-probability of each label; 0 where no label counts.
        token_logps -> Result<Tensor>;
        /// `[tokens]` `int64`: the most likely token at each labelled position, -1 elsewhere. Not differentiable.
        predictions -> Result<Tensor>;
        /// `[tokens]` `float32`: entropy in nats of the prediction at labelled positions, 0 elsewhere. Not
        /// differentiable.
        entropies -> Result<Tensor>;
        /// `[tokens]` `float32`: mean over the vocabulary of the logits at labelled positions, 0 elsewhere. Not
        /// differentiable.
        mean_logits -> Result<Tensor>;
        /// `[tokens, vocab]`: all logits, in memory at once. Prefer [`token_logps`](Self::token_logps).
        logits -> Result<Tensor>;
        /// `[tokens, hidden_size]`: the last hidden states, after the final norm.
        hidden -> Result<Tensor>;
        /// `[sequences, hidden_size]`: the hidden state of each sequence's last token.
        last_hidden -> Result<Tensor>;
        /// `[sequences, outputs]` `float32`: the score head applied to [`last_hidden`](Self::last_hidden). Only for losses
        /// that require a head.
        scores -> Result<Tensor>;
        /// `[tokens, outputs]` `float32`: the score head applied to every token.
        token_scores -> Result<Tensor>;
    }
}

impl Outputs<'_> {
    /// Number of logits at each position, which turns [`mean_logits`](Self::mean_logits) into sums.
    ///
    /// # Errors
    /// If the host could not find out.
    #[track_caller]
    pub fn vocab_size(&self) -> Result<u64> {
        let location = Location::caller();
        self.0.vocab_size().map_err(|error| backend::error(error, location))
    }
}

/// A loss and the numbers to log with it.
#[derive(Debug)]
#[must_use]
pub struct Report {
    pub(crate) loss: Tensor,
    pub(crate) metrics: Vec<(String, Tensor, Option<Tensor>)>,
}

impl Report {
    /// `loss` is a scalar: this micro-batch's share of the loss of the whole accumulation window.
    pub fn new(loss: impl Into<Tensor>) -> Self {
        Self { loss: loss.into(), metrics: Vec::new() }
    }

    /// Adds a number to log: the mean of all observations, of any shape, since the last log line.
    pub fn metric(mut self, name: &str, observations: impl Into<Tensor>) -> Self {
        self.metrics.push((name.to_owned(), observations.into(), None));
        self
    }

    /// As [`metric`](Self::metric), with a weight for each observation.
    pub fn weighted_metric(
        mut self,
        name: &str,
        observations: impl Into<Tensor>,
        weights: impl Into<Tensor>,
    ) -> Self {
        self.metrics.push((name.to_owned(), observations.into(), Some(weights.into())));
        self
    }

    /// Adds `name/chosen` and `name/rejected`.
    pub fn pair_metrics(self, name: &str, (chosen, rejected): &(Tensor, Tensor)) -> Self {
        self.metric(&format!("{name}/chosen"), chosen).metric(&format!("{name}/rejected"), rejected)
    }

    /// Adds what every comparison of answers logs of their rewards, `[pairs]` each: `rewards/chosen`, `rewards/rejected`,
    /// `rewards/accuracies` and `rewards/margins`.
    pub fn reward_metrics(self, rewards: &(Tensor, Tensor)) -> Self {
        let (chosen, rejected) = rewards;
        self.pair_metrics("rewards", rewards)
            .metric("rewards/accuracies", chosen.gt(rejected))
            .metric("rewards/margins", chosen - rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;
    use crate::testing::PackedBatch;

    #[test]
    fn the_likelihood_of_chosen_answers_is_a_share_of_the_window_and_a_number_to_log() {
        // Two pairs: chosen answers of two and one token, then rejected ones, in one of four micro-batches.
        let batch = PackedBatch::new(&[3, 2, 2, 3]).window(100, 8, 4);
        let batch = Batch(batch.view(Input::PreferencePairs));
        let values = [-1.0, -2.0, 0.0, -4.0, 0.0, -5.0, 0.0, -3.0, -2.5, 0.0];
        let token_logps = Tensor::from_list(&values, &[10], Dtype::Float64);
        let nll = |weight| {
            let (share, logged) = batch.chosen_nll(&token_logps, weight);
            [share, logged].map(|tensor| tensor.to_list().unwrap()[0])
        };
        assert_eq!(nll(0.6), [7.0 / 3.0 * 0.6 / 4.0, 7.0 / 3.0]);
        assert_eq!(nll(0.0), [0.0, 0.0]);
    }
}
