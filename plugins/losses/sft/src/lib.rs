//! Supervised fine-tuning: cross entropy of the labelled tokens.

use swift_plugin::prelude::*;

parameters! {
    /// Supervised fine-tuning: cross entropy of the labelled tokens.
    pub struct Sft {}
}

impl Loss for Sft {
    /// `-sum(weight * logp) / labels in the window`. As in ms-swift, weights do not change the denominator.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let loss = -(policy.token_logps()? * batch.loss_weights()).sum_all() / batch.global_token_count();
        let hits = policy.predictions()?.eq(batch.labels());
        Ok(Report::new(loss).weighted_metric("token_acc", hits, batch.label_mask()))
    }
}

export!(Sft: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    #[test]
    fn the_loss_is_the_weighted_cross_entropy_over_the_labels_of_the_window() {
        let batch = PackedBatch::new(&[3, 2])
            .labels(&[-100, 5, -100, 7, -100])
            .loss_weights(&[0.0, 2.0, 0.0, 0.5, 0.0])
            .window(4, 3, 2);
        let policy = ModelOutputs::new(&[-9.0, -1.5, -9.0, -0.25, -9.0]).predictions(&[5, 5, 5, 5, 5]);
        let evaluation = evaluate(&Sft {}, &batch, &policy, None).unwrap();
        assert_eq!(evaluation.loss, (2.0 * 1.5 + 0.5 * 0.25) / 4.0);
        assert_eq!(evaluation.gradient("token_logps"), [0.0, -0.5, 0.0, -0.125, 0.0]);
        assert_eq!(evaluation.metric("token_acc"), 0.5);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let batch = PackedBatch::new(&[4, 1, 3]).loss_weights(&[1.0, 0.5, 2.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        let policy = ModelOutputs::random(&batch, 1).predictions(&[0; 8]);
        check_gradient(&Sft {}, &batch, &policy, None).unwrap();
    }
}
