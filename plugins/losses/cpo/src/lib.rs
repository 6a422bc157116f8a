//! Contrastive preference optimisation (Xu et al. 2024, "Contrastive Preference Optimization").

use swift_plugin::prelude::*;

parameters! {
    /// Contrastive preference optimisation, which needs no reference model (Xu et al. 2024).
    pub struct Cpo {
        /// Scale of the margin.
        pub beta: f64 = 0.1,
        /// The formula: `sigmoid`, `hinge` or `ipo`. SimPO is a loss of its own, `simpo`.
        pub loss_type: String = "sigmoid".into(),
        /// Probability that the two answers of a pair were swapped; for `sigmoid`.
        pub label_smoothing: f64 = 0.0,
        /// Weight of the negative log-likelihood of the chosen answers.
        pub cpo_alpha: f64 = 1.0,
    }
}

/// A formula: losses `[pairs]` of the differences `[pairs]` of the log-probabilities.
type Losses = fn(&Cpo, &Tensor) -> Tensor;

/// Every loss type: its formula, and whether that takes means over the tokens instead of sums.
const VARIANTS: &[(&str, (Losses, bool))] =
    &[("sigmoid", (Cpo::sigmoid, false)), ("hinge", (Cpo::hinge, false)), ("ipo", (Cpo::ipo, true))];

impl Cpo {
    /// `-(1 - s) log sigmoid(beta z) - s log sigmoid(-beta z)`: eq. 3 of the paper, smoothed as DPO is by Mitchell 2023.
    fn sigmoid(&self, lead: &Tensor) -> Tensor {
        let margin = lead * self.beta;
        let agreement = margin.log_sigmoid() * (1.0 - self.label_smoothing);
        let disagreement = (-margin).log_sigmoid() * self.label_smoothing;
        -(agreement + disagreement)
    }

    /// `max(0, 1 - beta z)`: the hinge of Zhao et al. 2023, "SLiC-HF".
    fn hinge(&self, lead: &Tensor) -> Tensor {
        (1.0 - lead * self.beta).relu()
    }

    /// `(z - 1 / (2 beta))^2`: Azar et al. 2023, "A General Theoretical Paradigm", eq. 17.
    fn ipo(&self, lead: &Tensor) -> Tensor {
        (lead - 0.5 / self.beta).pow(2.0)
    }
}

impl Loss for Cpo {
    fn requirements(&self) -> Requirements {
        Requirements {
            input: Input::PreferencePairs,
            trained_parts: TrainedParts::LastRound,
            disable_dropout: true,
            ..Requirements::default()
        }
    }

    /// The formula of `z = log p_chosen - log p_rejected`, the mean over the pairs of the window, and `cpo_alpha` times the
    /// negative log-likelihood of the chosen answers: the mean over the labelled tokens of the micro-batch, and that over
    /// the micro-batches.
    ///
    /// TRL logs the mean of all logits of a padded batch; here it is that at labelled positions, as in DPO.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let (losses, means) = choose("loss type", &self.loss_type, VARIANTS)?;
        let token_logps = policy.token_logps()?;
        let logps = match means {
            true => batch.mean_by_sequence(&token_logps),
            false => batch.sum_by_sequence(&token_logps),
        };
        let logps = batch.split_sequences(&logps);
        let (answers, nll) = batch.chosen_nll(&token_logps, self.cpo_alpha);
        let compared = losses(self, &(&logps.0 - &logps.1)).sum_all() / batch.global_pair_count();
        Ok(Report::new(compared + answers)
            .reward_metrics(&(&logps.0 * self.beta, &logps.1 * self.beta))
            .pair_metrics("logps", &logps)
            .pair_metrics("logits", &batch.split_means(&policy.mean_logits()?))
            .metric("nll_loss", nll))
    }
}

export!(Cpo: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    /// Two pairs: chosen answers of two and one token, rejected ones of one and two.
    fn batch() -> PackedBatch {
        PackedBatch::new(&[3, 2, 2, 3])
    }

    /// Sums -3 and -4, then -5 and -5.5.
    fn policy() -> ModelOutputs {
        ModelOutputs::new(&[-1.0, -2.0, 0.0, -4.0, 0.0, -5.0, 0.0, -3.0, -2.5, 0.0])
            .mean_logits(&[1.0, 2.0, 9.0, 6.0, 9.0, -1.0, 9.0, -2.0, -6.0, 9.0])
    }

    fn of_type(loss_type: &str) -> Cpo {
        Cpo { beta: 0.5, loss_type: loss_type.into(), cpo_alpha: 0.25, ..Cpo::default() }
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn the_loss_follows_the_formulas() {
        let nll = 0.25 * (1.0 + 2.0 + 4.0) / 3.0;
        let mean = |pair: fn(f64) -> f64, leads: [f64; 2]| (pair(leads[0]) + pair(leads[1])) / 2.0 + nll;
        let loss = |cpo: &Cpo| evaluate(cpo, &batch(), &policy(), None).unwrap().loss;
        let logistic = |z: f64| (-0.5 * z).exp().ln_1p();
        assert_close(loss(&of_type("sigmoid")), mean(logistic, [2.0, 1.5]));
        assert_close(loss(&of_type("hinge")), mean(|z| (1.0 - 0.5 * z).max(0.0), [2.0, 1.5]));
        assert_close(loss(&of_type("ipo")), mean(|z| (z - 1.0).powi(2), [3.5, -1.25]));
        let smoothed = |z: f64| 0.8 * (-0.5 * z).exp().ln_1p() + 0.2 * (0.5 * z).exp().ln_1p();
        assert_close(loss(&Cpo { label_smoothing: 0.2, ..of_type("sigmoid") }), mean(smoothed, [2.0, 1.5]));
    }

    #[test]
    fn every_formula_gives_its_share_of_the_window_and_the_gradient_of_finite_differences() {
        for (name, _) in VARIANTS {
            // Away from the bend of the hinge.
            let cpo = Cpo { beta: 0.3, ..of_type(name) };
            let whole = evaluate(&cpo, &batch(), &policy(), None).unwrap().loss;
            let part = evaluate(&cpo, &batch().window(100, 8, 4), &policy(), None).unwrap().loss;
            assert_close(part, whole / 4.0);
            check_gradient(&cpo, &batch(), &policy(), None).unwrap();
        }
    }

    #[test]
    fn the_metrics_are_those_of_trl() {
        let evaluation = evaluate(&of_type("sigmoid"), &batch(), &policy(), None).unwrap();
        let expected = [
            ("rewards/chosen", -1.75),
            ("rewards/rejected", -2.625),
            ("rewards/accuracies", 1.0),
            ("rewards/margins", 0.875),
            ("logps/chosen", -3.5),
            ("logps/rejected", -5.25),
            ("logits/chosen", 3.0),
            ("logits/rejected", -3.0),
            ("nll_loss", 7.0 / 3.0),
        ];
        assert_eq!(evaluation.metrics.len(), expected.len());
        for ((name, mean), (expected_name, expected_mean)) in evaluation.metrics.iter().zip(expected) {
            assert_eq!(name, expected_name);
            assert_close(*mean, expected_mean);
        }
    }

    #[test]
    fn an_unknown_formula_is_named() {
        let error = evaluate(&of_type("simpo"), &batch(), &policy(), None).unwrap_err();
        assert_eq!(error.to_string(), "there is no loss type `simpo`; there are `sigmoid`, `hinge`, `ipo`");
    }
}
