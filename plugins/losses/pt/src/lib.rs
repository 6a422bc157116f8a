//! Continued pre-training: cross entropy of the tokens of whole texts.

use swift_plugin::prelude::*;

parameters! {
    /// Continued pre-training: cross entropy of every token of a text.
    pub struct Pt {}
}

impl Loss for Pt {
    fn requirements(&self) -> Requirements {
        Requirements { trained_parts: TrainedParts::Everything, ..Requirements::default() }
    }

    /// `-sum(weight * logp) / labels in the window`.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let loss = -(policy.token_logps()? * batch.loss_weights()).sum_all() / batch.global_token_count();
        let hits = policy.predictions()?.eq(batch.labels());
        Ok(Report::new(loss).weighted_metric("token_acc", hits, batch.label_mask()))
    }
}

export!(Pt: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    #[test]
    fn the_loss_is_the_cross_entropy_over_the_labels_of_the_window() {
        let policy = ModelOutputs::new(&[-1.0, -2.5, 0.0, -0.5, 0.0]).predictions(&[0, 9, 9, 9, 9]);
        let evaluation = evaluate(&Pt {}, &PackedBatch::new(&[3, 2]).window(8, 4, 2), &policy, None).unwrap();
        assert_eq!(evaluation.loss, (1.0 + 2.5 + 0.5) / 8.0);
        assert_eq!(evaluation.metric("token_acc"), 1.0 / 3.0);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let batch = PackedBatch::new(&[4, 2]);
        let policy = ModelOutputs::random(&batch, 3).predictions(&[0; 6]);
        check_gradient(&Pt {}, &batch, &policy, None).unwrap();
    }
}
