//! Supervised fine-tuning: cross entropy of the labelled tokens; with `enable_dft_loss` dynamic fine-tuning.

use swift_plugin::prelude::*;

parameters! {
    /// Supervised fine-tuning: cross entropy of the labelled tokens.
    pub struct Sft {
        /// Dynamic fine-tuning: weighs each token by its own probability (Wu et al. 2025).
        pub enable_dft_loss: bool = false,
    }
}

impl Loss for Sft {
    /// `-sum(weight * logp) / labels in the window`. As in ms-swift, weights do not change the denominator.
    ///
    /// Dynamic fine-tuning (Wu et al. 2025, "On the Generalization of SFT") puts `p * logp` in the place of `logp`,
    /// with `p` the probability of the token, which gets no gradient.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let mut logps = policy.token_logps()?;
        if self.enable_dft_loss {
            logps = logps.detach().exp() * logps;
        }
        let loss = -(logps * batch.loss_weights()).sum_all() / batch.global_token_count();
        let hits = policy.predictions()?.eq(batch.labels());
        Ok(Report::new(loss).weighted_metric("token_acc", hits, batch.label_mask()))
    }
}

export!(Sft: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    /// Two of five positions have labels, of weights 2 and 0.5; the whole window has four.
    fn batch() -> PackedBatch {
        PackedBatch::new(&[3, 2])
            .labels(&[-100, 5, -100, 7, -100])
            .loss_weights(&[0.0, 2.0, 0.0, 0.5, 0.0])
            .window(4, 3, 2)
    }

    fn policy() -> ModelOutputs {
        ModelOutputs::new(&[-9.0, -1.5, -9.0, -0.25, -9.0]).predictions(&[5, 5, 5, 5, 5])
    }

    #[test]
    fn the_loss_is_the_weighted_cross_entropy_over_the_labels_of_the_window() {
        let evaluation = evaluate(&Sft::default(), &batch(), &policy(), None).unwrap();
        assert_eq!(evaluation.loss, (2.0 * 1.5 + 0.5 * 0.25) / 4.0);
        assert_eq!(evaluation.gradient("token_logps"), [0.0, -0.5, 0.0, -0.125, 0.0]);
        assert_eq!(evaluation.metric("token_acc"), 0.5);
    }

    #[test]
    fn dynamic_fine_tuning_weighs_each_token_by_its_probability() {
        let evaluation = evaluate(&Sft { enable_dft_loss: true }, &batch(), &policy(), None).unwrap();
        let (first, second) = ((-1.5f64).exp(), (-0.25f64).exp());
        assert_eq!(evaluation.loss, (2.0 * first * 1.5 + 0.5 * second * 0.25) / 4.0);
        // The probability counts as a constant.
        let gradient = [0.0, -0.5 * first, 0.0, -0.125 * second, 0.0];
        assert_eq!(evaluation.gradient("token_logps"), gradient);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let batch = PackedBatch::new(&[4, 1, 3]).loss_weights(&[1.0, 0.5, 2.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        let policy = ModelOutputs::random(&batch, 1).predictions(&[0; 8]);
        check_gradient(&Sft::default(), &batch, &policy, None).unwrap();
    }
}
