//! Describe how your sampler chooses, and name the paper that it is from.

use swift_plugin::prelude::*;

parameters! {
    /// Rules out tokens that are hardly probable (Hewitt et al. 2022, epsilon sampling).
    pub struct PluginName {
        /// The least probability of a token that is left; the most probable ones always are.
        pub epsilon: f64 = 3e-4,
    }
}

impl Sampler for PluginName {
    fn adjust(&self, logits: &Tensor, _: &Generation) -> Result<Tensor> {
        let logps = logits.log_softmax(-1);
        let least = logps.max(-1, true).minimum(self.epsilon.ln());
        let nothing = Tensor::full(f64::NEG_INFINITY, &[], logits.dtype()?);
        Ok(logps.ge(least).choose(logits, &nothing))
    }
}

export!(PluginName: Sampler);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{Answered, adjust};

    #[test]
    fn hardly_probable_tokens_are_ruled_out() {
        let adjusted = |epsilon: f64, logits: &[f64]| {
            adjust(&PluginName { epsilon }, logits, &Answered::new(&[1, 2], &[3])).unwrap()
        };
        assert_eq!(adjusted(0.01, &[2.0, 9.0, 8.0]), [f64::NEG_INFINITY, 9.0, 8.0]);
        assert_eq!(adjusted(0.9, &[1.0, 1.0]), [1.0, 1.0]);
    }
}
