//! The focal loss (Lin et al. 2017, eq. 4), as `sdk/python/examples/focal.py` has it, so that runs with both can be
//! compared.

use swift_plugin::prelude::*;

parameters! {
    /// Focal loss over tokens (Lin et al. 2017).
    pub struct Focal {
        /// How much well-predicted tokens are held back; 0 is cross-entropy.
        pub gamma: f64 = 2.0,
    }
}

impl Loss for Focal {
    /// With `p` the probability of a label: `-(1 - p)^gamma log p`, the weighted mean over the labels of the window.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        if self.gamma < 0.0 {
            bail!("`gamma` is {}, and must be at least 0", self.gamma);
        }
        let logps = policy.token_logps()?;
        // Where a label is certain, `(1 - p)^gamma` has no finite slope for a gamma below 1.
        let focus = (1.0 - logps.exp()).clamp(1e-12, 1.0).pow(self.gamma);
        let losses = -(&focus * logps * batch.loss_weights());
        let loss = losses.sum_all() / batch.global_token_count();
        Ok(Report::new(loss).weighted_metric("focal/weight", focus, batch.label_mask()))
    }
}

export!(Focal: Loss);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, check_gradient, evaluate};

    /// Two sequences with two labels and one.
    fn policy() -> ModelOutputs {
        ModelOutputs::new(&[-0.1, -2.0, 0.0, -1.0, 0.0])
    }

    fn focal(logp: f64, gamma: f64) -> f64 {
        -(1.0 - logp.exp()).powf(gamma) * logp
    }

    #[test]
    fn the_loss_and_the_weight_follow_their_formulas() {
        let evaluation =
            evaluate(&Focal { gamma: 3.0 }, &PackedBatch::new(&[3, 2]), &policy(), None).unwrap();
        let logps = [-0.1, -2.0, -1.0];
        let mean = |of: &dyn Fn(f64) -> f64| logps.iter().map(|&logp| of(logp)).sum::<f64>() / 3.0;
        assert!((evaluation.loss - mean(&|logp| focal(logp, 3.0))).abs() < 1e-12);
        let weight = mean(&|logp| (1.0 - logp.exp()).powi(3));
        assert!((evaluation.metric("focal/weight") - weight).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for gamma in [0.0, 0.5, 2.0] {
            check_gradient(&Focal { gamma }, &PackedBatch::new(&[3, 2]), &policy(), None).unwrap();
        }
    }
}
