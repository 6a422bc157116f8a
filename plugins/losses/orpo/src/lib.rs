//! Odds-ratio preference optimisation (Hong et al. 2024, "ORPO: Monolithic Preference Optimization without Reference Model").

use swift_plugin::prelude::*;

parameters! {
    /// Odds-ratio preference optimisation, which needs no reference model (Hong et al. 2024).
    pub struct Orpo {
        /// Weight of the odds ratio.
        pub beta: f64 = 0.1,
    }
}

impl Loss for Orpo {
    fn requirements(&self) -> Requirements {
        Requirements { input: Input::PreferencePairs, disable_dropout: true, ..Requirements::default() }
    }

    /// The negative log-likelihood of the chosen answers, and `-beta log sigmoid(log(odds_chosen / odds_rejected))` (eq. 6 and
    /// 7 of the paper) with `odds = p / (1 - p)` of the geometric mean `p` of an answer's probabilities.
    ///
    /// The former is the mean over the labelled tokens of the micro-batch, and that over the micro-batches; the latter the
    /// mean over the pairs of the window. TRL logs the mean of all logits of a padded batch; here it is that at labelled
    /// positions, as in DPO.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let token_logps = policy.token_logps()?;
        let logps = batch.split_sequences(&batch.mean_by_sequence(&token_logps));
        let log_odds = (&logps.0 - &logps.1) - (log_complement(&logps.0) - log_complement(&logps.1));
        let log_ratio = log_odds.log_sigmoid();
        let (answers, nll) = batch.chosen_nll(&token_logps, 1.0);
        let loss = answers - log_ratio.sum_all() * self.beta / batch.global_pair_count();
        Ok(Report::new(loss)
            .reward_metrics(&(&logps.0 * self.beta, &logps.1 * self.beta))
            .pair_metrics("logps", &logps)
            .pair_metrics("logits", &batch.split_means(&policy.mean_logits()?))
            .metric("nll_loss", nll)
            .metric("log_odds_ratio", log_ratio)
            .metric("log_odds_chosen", log_odds))
    }
}

/// `log(1 - p)` of `log p`: as `1 - e^x = tanh(-x / 2) (1 + e^x)`, nothing is lost where `p` is close to 1.
fn log_complement(log_p: &Tensor) -> Tensor {
    (log_p * -0.5).tanh().log() + log_p.softplus()
}

export!(Orpo: Loss);

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
        let evaluation = evaluate(&Orpo { beta: 0.5 }, &batch(), &policy(), None).unwrap();
        let odds = |logp: f64| logp.exp() / (1.0 - logp.exp());
        let log_odds = [(odds(-1.5) / odds(-5.0)).ln(), (odds(-4.0) / odds(-2.75)).ln()];
        let log_ratio = log_odds.map(|log_odds| -(-log_odds).exp().ln_1p());
        let mean = |pair: [f64; 2]| (pair[0] + pair[1]) / 2.0;
        assert_close(evaluation.loss, 7.0 / 3.0 - 0.5 * mean(log_ratio));
        assert_close(evaluation.metric("log_odds_ratio"), mean(log_ratio));
        assert_close(evaluation.metric("log_odds_chosen"), mean(log_odds));
        assert_close(evaluation.metric("rewards/margins"), 0.5 * (3.5 - 1.25) / 2.0);
    }

    #[test]
    fn the_complement_of_a_probability_close_to_one_keeps_its_digits() {
        let complement = |log_p: f64| {
            let log_p = Tensor::from_list(&[log_p], &[1], Dtype::Float64);
            log_complement(&log_p).to_list().unwrap()[0]
        };
        for log_p in [-1e-14f64, -1e-6, -0.1, -3.0, -50.0] {
            let expected = (-log_p.exp_m1()).ln();
            let error = (complement(log_p) - expected).abs();
            assert!(error < 1e-14 * (1.0 + expected.abs()), "{log_p}: off by {error}");
        }
    }

    #[test]
    fn a_micro_batch_gives_its_share_of_the_window() {
        let whole = evaluate(&Orpo::default(), &batch(), &policy(), None).unwrap().loss;
        let part = evaluate(&Orpo::default(), &batch().window(100, 8, 4), &policy(), None).unwrap().loss;
        assert_close(part, whole / 4.0);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        check_gradient(&Orpo { beta: 0.7 }, &batch(), &policy(), None).unwrap();
    }
}
