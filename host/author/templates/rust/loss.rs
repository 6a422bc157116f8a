//! Describe what your loss does, and name the paper that its formula is from.

use swift_plugin::prelude::*;

parameters! {
    /// Cross entropy of the labelled tokens, scaled.
    pub struct PluginName {
        /// Factor on the loss.
        pub scale: f64 = 1.0,
    }
}

impl Loss for PluginName {
    /// `-scale * sum(weight * log p) / labels in the accumulation window`: a micro-batch gives its share of the whole.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let logps = policy.token_logps()?;
        let total = (&logps * batch.loss_weights()).sum_all();
        let loss = total * -self.scale / batch.global_token_count();
        Ok(Report::new(loss).weighted_metric("mean_logp", logps, batch.label_mask()))
    }
}

export!(PluginName: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    #[test]
    fn the_loss_follows_the_formula() {
        // Two sequences. The last position of each has no label.
        let batch = PackedBatch::new(&[3, 2]);
        let policy = ModelOutputs::new(&[-1.0, -2.0, 0.0, -3.0, 0.0]);
        let evaluation = evaluate(&PluginName { scale: 0.5 }, &batch, &policy, None).unwrap();
        assert_eq!(evaluation.loss, 0.5 * (1.0 + 2.0 + 3.0) / 3.0);
        assert_eq!(evaluation.metric("mean_logp"), -2.0);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let batch = PackedBatch::new(&[4, 2]);
        check_gradient(&PluginName::default(), &batch, &ModelOutputs::random(&batch, 1), None).unwrap();
    }
}
