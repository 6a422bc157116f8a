//! Simple preference optimisation (Meng et al. 2024, "SimPO: Simple Preference Optimization with a Reference-Free Reward").

use swift_plugin::prelude::*;

parameters! {
    /// Simple preference optimisation by mean log-probabilities, without a reference model (Meng et al. 2024).
    pub struct Simpo {
        /// Scale of the rewards.
        pub beta: f64 = 2.0,
        /// By how much the chosen answer's reward should be the larger one.
        pub simpo_gamma: f64 = 1.0,
        /// Probability that the two answers of a pair were swapped.
        pub label_smoothing: f64 = 0.0,
        /// Weight of the negative log-likelihood of the chosen answers; 0 is SimPO as in its paper.
        pub cpo_alpha: f64 = 1.0,
        /// The reward's shape (AlphaPO, Gupta et al. 2025); 0 is the mean log-probability.
        pub alpha: f64 = 0.0,
    }
}

impl Simpo {
    /// `beta` times the mean log-probability `l` of an answer's tokens; with `alpha`, `(1 - e^(-alpha l)) / alpha` in the place
    /// of `l`, which it is in the limit (Gupta et al. 2025, "AlphaPO: Reward Shape Matters for LLM Alignment").
    fn reward(&self, mean_logp: &Tensor) -> Tensor {
        match self.alpha {
            0.0 => mean_logp * self.beta,
            alpha => (1.0 - (mean_logp * -alpha).exp()) * (self.beta / alpha),
        }
    }
}

impl Loss for Simpo {
    fn requirements(&self) -> Requirements {
        Requirements {
            input: Input::PreferencePairs,
            trained_parts: TrainedParts::LastRound,
            disable_dropout: true,
            ..Requirements::default()
        }
    }

    /// With the margin `m = r_chosen - r_rejected - gamma`: `-(1 - s) log sigmoid(m) - s log sigmoid(-m)` (eq. 6 of the paper,
    /// smoothed), the mean over the pairs of the window, and `cpo_alpha` times the negative log-likelihood of the chosen
    /// answers: the mean over the labelled tokens of the micro-batch, and that over the micro-batches.
    ///
    /// TRL logs the mean of all logits of a padded batch; here it is that at labelled positions, as in DPO.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let token_logps = policy.token_logps()?;
        let logps = batch.split_sequences(&batch.mean_by_sequence(&token_logps));
        let rewards = (self.reward(&logps.0), self.reward(&logps.1));
        let margin = &rewards.0 - &rewards.1 - self.simpo_gamma;
        let agreement = margin.log_sigmoid() * (1.0 - self.label_smoothing);
        let disagreement = (-margin).log_sigmoid() * self.label_smoothing;
        let compared = -(agreement + disagreement).sum_all() / batch.global_pair_count();
        let (answers, nll) = batch.chosen_nll(&token_logps, self.cpo_alpha);
        Ok(Report::new(compared + answers)
            .reward_metrics(&rewards)
            .pair_metrics("logps", &logps)
            .pair_metrics("logits", &batch.split_means(&policy.mean_logits()?))
            .metric("nll_loss", nll))
    }
}

export!(Simpo: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    /// Two pairs: chosen answers of two and one token, rejected ones of one and two.
    fn batch() -> PackedBatch {
        PackedBatch::new(&[3, 2, 2, 3])
    }

    /// Means -1.5 and -4, then -5 and -2.75.
    fn policy() -> ModelOutputs {
        ModelOutputs::new(&[-1.0, -2.0, 0.0, -4.0, 0.0, -5.0, 0.0, -3.0, -2.5, 0.0]).mean_logits(&[0.0; 10])
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn the_loss_follows_the_formula() {
        let simpo = Simpo { beta: 0.5, simpo_gamma: 0.75, cpo_alpha: 0.25, ..Simpo::default() };
        let evaluation = evaluate(&simpo, &batch(), &policy(), None).unwrap();
        let pair = |lead: f64| (-(0.5 * lead - 0.75)).exp().ln_1p();
        assert_close(evaluation.loss, (pair(3.5) + pair(-1.25)) / 2.0 + 0.25 * 7.0 / 3.0);
        assert_close(evaluation.metric("rewards/margins"), 0.5 * (3.5 - 1.25) / 2.0);
        assert_close(evaluation.metric("logps/chosen"), (-1.5 - 4.0) / 2.0);
        assert_close(evaluation.metric("nll_loss"), 7.0 / 3.0);
    }

    #[test]
    fn the_shape_of_the_reward_has_the_mean_log_probability_as_its_limit() {
        let loss =
            |alpha| evaluate(&Simpo { alpha, ..Simpo::default() }, &batch(), &policy(), None).unwrap().loss;
        assert!((loss(1e-6) - loss(0.0)).abs() < 1e-4);
        assert!((loss(0.5) - loss(0.0)).abs() > 1e-2);
    }

    #[test]
    fn a_micro_batch_gives_its_share_of_the_window() {
        let simpo = Simpo { cpo_alpha: 0.5, ..Simpo::default() };
        let whole = evaluate(&simpo, &batch(), &policy(), None).unwrap().loss;
        let part = evaluate(&simpo, &batch().window(100, 8, 4), &policy(), None).unwrap().loss;
        assert_close(part, whole / 4.0);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for alpha in [0.0, 0.3] {
            let simpo = Simpo { alpha, label_smoothing: 0.1, ..Simpo::default() };
            check_gradient(&simpo, &batch(), &policy(), None).unwrap();
        }
    }
}
