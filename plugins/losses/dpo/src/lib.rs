//! Direct preference optimisation (Rafailov et al. 2023, eq. 7), with label smoothing (Mitchell 2023, "cDPO").

use swift_plugin::prelude::*;

parameters! {
    /// Direct preference optimisation (Rafailov et al. 2023).
    pub struct Dpo {
        /// Strength of the pull towards the reference model.
        pub beta: f64 = 0.1,
        /// Probability that the two answers of a pair were swapped.
        pub label_smoothing: f64 = 0.0,
    }
}

impl Loss for Dpo {
    fn requirements(&self) -> Requirements {
        Requirements {
            input: Input::PreferencePairs,
            trained_parts: TrainedParts::LastRound,
            reference: true,
            disable_dropout: true,
            ..Requirements::default()
        }
    }

    /// With `z` the difference of the rewards `beta * (log p - log p_reference)` of the chosen and the rejected answer:
    /// `-(1 - smoothing) log sigmoid(z) - smoothing log sigmoid(-z)`, the mean over the pairs of the window.
    fn compute(&self, batch: &Batch, policy: &Outputs, reference: Option<&Outputs>) -> Result<Report> {
        let Some(reference) = reference else { bail!("the outputs of the reference model are missing") };
        let answers = |outputs: &Outputs| -> Result<(Tensor, Tensor)> {
            Ok(batch.split_sequences(&batch.sum_by_sequence(&outputs.token_logps()?)))
        };
        let (chosen, rejected) = answers(policy)?;
        let (reference_chosen, reference_rejected) = answers(reference)?;

        let chosen_reward = (&chosen - reference_chosen) * self.beta;
        let rejected_reward = (&rejected - reference_rejected) * self.beta;
        let margin = &chosen_reward - &rejected_reward;
        let agreement = margin.log_sigmoid() * (1.0 - self.label_smoothing);
        let disagreement = (-&margin).log_sigmoid() * self.label_smoothing;
        let loss = -(agreement + disagreement).sum_all() / batch.global_pair_count();

        // One observation a micro-batch, as TRL has it: the mean over its labelled positions.
        let (chosen_mask, rejected_mask) = batch.split_tokens(&batch.label_mask());
        let (chosen_logits, rejected_logits) = batch.split_tokens(&policy.mean_logits()?);
        Ok(Report::new(loss)
            .metric("rewards/chosen", &chosen_reward)
            .metric("rewards/rejected", &rejected_reward)
            .metric("rewards/accuracies", chosen_reward.gt(&rejected_reward))
            .metric("rewards/margins", margin)
            .metric("logps/chosen", chosen)
            .metric("logps/rejected", rejected)
            .metric("logits/chosen", chosen_logits.sum_all() / chosen_mask.sum_all())
            .metric("logits/rejected", rejected_logits.sum_all() / rejected_mask.sum_all()))
    }
}

export!(Dpo: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    /// Two pairs: chosen answers of two and one token, rejected ones of one and two.
    fn batch() -> PackedBatch {
        PackedBatch::new(&[3, 2, 2, 3])
    }

    fn policy() -> ModelOutputs {
        ModelOutputs::new(&[-1.0, -2.0, 0.0, -4.0, 0.0, -5.0, 0.0, -3.0, -2.5, 0.0])
            .mean_logits(&[1.0, 2.0, 9.0, 6.0, 9.0, -1.0, 9.0, -2.0, -6.0, 9.0])
    }

    fn reference() -> ModelOutputs {
        ModelOutputs::new(&[-1.5, -2.5, 0.0, -3.0, 0.0, -4.0, 0.0, -3.5, -3.0, 0.0])
    }

    fn log_sigmoid(x: f64) -> f64 {
        -(-x).exp().ln_1p()
    }

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn the_loss_follows_the_formula() {
        let dpo = Dpo { beta: 0.5, label_smoothing: 0.2 };
        let evaluation = evaluate(&dpo, &batch(), &policy(), Some(&reference())).unwrap();
        // Sums of chosen and rejected answers, less those of the reference: +1 and -1, -1 and +1.
        let pair = |z: f64| -0.8 * log_sigmoid(z) - 0.2 * log_sigmoid(-z);
        assert_close(evaluation.loss, (pair(1.0) + pair(-1.0)) / 2.0);
    }

    #[test]
    fn a_micro_batch_gives_its_share_of_the_window() {
        let whole = evaluate(&Dpo::default(), &batch(), &policy(), Some(&reference())).unwrap().loss;
        let part = evaluate(&Dpo::default(), &batch().window(100, 8, 4), &policy(), Some(&reference()))
            .unwrap()
            .loss;
        assert_close(part, whole / 4.0);
    }

    #[test]
    fn the_metrics_are_those_of_ms_swift() {
        let evaluation = evaluate(&Dpo::default(), &batch(), &policy(), Some(&reference())).unwrap();
        let expected = [
            ("rewards/chosen", 0.1 * (1.0 - 1.0) / 2.0),
            ("rewards/rejected", 0.1 * (-1.0 + 1.0) / 2.0),
            ("rewards/accuracies", 0.5),
            ("rewards/margins", 0.1 * (2.0 - 2.0) / 2.0),
            ("logps/chosen", (-3.0 - 4.0) / 2.0),
            ("logps/rejected", (-5.0 - 5.5) / 2.0),
            ("logits/chosen", (1.0 + 2.0 + 6.0) / 3.0),
            ("logits/rejected", (-1.0 - 2.0 - 6.0) / 3.0),
        ];
        assert_eq!(evaluation.metrics.len(), expected.len());
        for ((name, mean), (expected_name, expected_mean)) in evaluation.metrics.iter().zip(expected) {
            assert_eq!(name, expected_name);
            assert_close(*mean, expected_mean);
        }
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let dpo = Dpo { beta: 0.7, label_smoothing: 0.1 };
        check_gradient(&dpo, &batch(), &policy(), Some(&reference())).unwrap();
    }

    #[test]
    fn without_a_reference_model_there_is_no_loss() {
        let error = evaluate(&Dpo::default(), &batch(), &policy(), None).unwrap_err();
        assert_eq!(error.to_string(), "the outputs of the reference model are missing");
    }
}
