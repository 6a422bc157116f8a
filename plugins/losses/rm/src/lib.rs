//! Reward models: a score for an answer, larger for better ones (Bradley and Terry 1952).

use swift_plugin::prelude::*;

parameters! {
    /// A reward model: scores that are larger for better answers (Bradley and Terry 1952).
    pub struct Rm {
        /// Weight of what keeps the scores around zero (Eisenstein et al. 2023); by default they are free.
        pub center_rewards_coefficient: Option<f64> = None,
    }
}

impl Loss for Rm {
    fn requirements(&self) -> Requirements {
        Requirements {
            input: Input::PreferencePairs,
            trained_parts: TrainedParts::LastRound,
            score_head: Some(1),
            disable_dropout: true,
            ..Requirements::default()
        }
    }

    /// `-log sigmoid(s_chosen - s_rejected - margin)`, the mean over the pairs of the window: Ouyang et al. 2022, "Training
    /// language models to follow instructions", eq. 1; with a margin, the column `margin` if the rows have one, Touvron et
    /// al. 2023, "Llama 2", eq. 2.
    ///
    /// Centring adds `coefficient (s_chosen + s_rejected)^2` (Eisenstein et al. 2023, "Helping or Herding?").
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let scores = batch.split_sequences(&policy.scores()?.reshape(&[-1]));
        let mut lead = &scores.0 - &scores.1;
        if let Some(margin) = batch.field("margin") {
            lead = lead - margin;
        }
        let mut losses = -lead.log_sigmoid();
        let mut centring = None;
        if let Some(coefficient) = self.center_rewards_coefficient {
            let squares = (&scores.0 + &scores.1).pow(2.0) * coefficient;
            losses = losses + &squares;
            centring = Some(squares);
        }
        let report = Report::new(losses.sum_all() / batch.global_pair_count()).reward_metrics(&scores);
        Ok(match centring {
            Some(squares) => report.metric("center_rewards_loss", squares),
            None => report,
        })
    }
}

export!(Rm: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    fn batch() -> PackedBatch {
        PackedBatch::new(&[3, 2, 2, 3])
    }

    /// Leads of +1.5 and -1.
    fn policy() -> ModelOutputs {
        ModelOutputs::default().scores(&[2.0, -0.5, 0.5, 0.5])
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn the_loss_follows_the_formula() {
        let pair = |lead: f64| (-lead).exp().ln_1p();
        let loss = |rm: Rm, batch| evaluate(&rm, &batch, &policy(), None).unwrap().loss;
        assert_close(loss(Rm::default(), batch()), (pair(1.5) + pair(-1.0)) / 2.0);
        let margins = batch().field("margin", &[0.5, 1.0]);
        assert_close(loss(Rm::default(), margins), (pair(1.0) + pair(-2.0)) / 2.0);
        let centred = Rm { center_rewards_coefficient: Some(0.1) };
        assert_close(loss(centred, batch()), (pair(1.5) + pair(-1.0) + 0.1 * 2.5 * 2.5) / 2.0);
    }

    #[test]
    fn the_margin_of_the_metrics_is_that_of_the_scores() {
        let centred = Rm { center_rewards_coefficient: Some(0.1) };
        let batch = batch().field("margin", &[0.5, 1.0]);
        let evaluation = evaluate(&centred, &batch, &policy(), None).unwrap();
        let expected = [
            ("rewards/chosen", 0.75),
            ("rewards/rejected", 0.5),
            ("rewards/accuracies", 0.5),
            ("rewards/margins", 0.25),
            ("center_rewards_loss", 0.1 * 2.5 * 2.5 / 2.0),
        ];
        assert_eq!(evaluation.metrics.len(), expected.len());
        for ((name, mean), (expected_name, expected_mean)) in evaluation.metrics.iter().zip(expected) {
            assert_eq!(name, expected_name);
            assert_close(*mean, expected_mean);
        }
    }

    #[test]
    fn a_micro_batch_gives_its_share_of_the_window() {
        let whole = evaluate(&Rm::default(), &batch(), &policy(), None).unwrap().loss;
        let part = evaluate(&Rm::default(), &batch().window(100, 8, 4), &policy(), None).unwrap().loss;
        assert_close(part, whole / 4.0);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let rm = Rm { center_rewards_coefficient: Some(0.1) };
        check_gradient(&rm, &batch().field("margin", &[0.5, 1.0]), &policy(), None).unwrap();
    }
}
