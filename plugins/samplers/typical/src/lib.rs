//! Locally typical sampling (Meister et al. 2023, "Locally Typical Sampling", section 4).

use swift_plugin::prelude::*;

parameters! {
    /// Locally typical sampling: only tokens that say about as much as the model expects to be said (Meister et al. 2023).
    pub struct Typical {
        /// The most typical tokens that together have this probability are left.
        pub typical_p: f64 = 0.95,
    }
}

/// Log-probabilities of tokens that are ruled out, so that 0 times theirs is 0. Nothing that is possible has less.
const LEAST: f64 = -1e4;

impl Sampler for Typical {
    /// Tokens in the order of `|-log p - H|`, with `H` the entropy, until they have the probability; equally typical ones are
    /// in or out together, as in transformers.
    fn adjust(&self, logits: &Tensor, _: &Generation) -> Result<Tensor> {
        if !(self.typical_p > 0.0 && self.typical_p <= 1.0) {
            bail!("`typical_p` is {}, and must be above 0 and at most 1", self.typical_p);
        }
        let logps = logits.log_softmax(-1).clamp(LEAST, 0.0);
        let probabilities = logps.exp();
        let entropy = -(&probabilities * &logps).sum_all();
        let distances = (logps + entropy).abs();
        let order = distances.argsort(false);
        let probabilities = probabilities.gather(0, &order);
        let before = probabilities.cumsum(0) - &probabilities;
        let is_needed = before.lt(self.typical_p).cast(logits.dtype()?);
        let farthest = (distances.gather(0, &order) * is_needed).max(0, false);
        let nothing = Tensor::full(f64::NEG_INFINITY, &[], logits.dtype()?);
        Ok(distances.le(farthest).choose(logits, &nothing))
    }
}

export!(Typical: Sampler);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{Answered, adjust};

    /// The ids that are left.
    fn left(typical_p: f64, logits: &[f64]) -> Vec<usize> {
        let adjusted = adjust(&Typical { typical_p }, logits, &Answered::new(&[1], &[])).unwrap();
        for (given, before) in adjusted.iter().zip(logits) {
            assert!(given == before || *given == f64::NEG_INFINITY, "{adjusted:?}");
        }
        (0..logits.len()).filter(|id| adjusted[*id] > f64::NEG_INFINITY).collect()
    }

    /// The same, one token after the other.
    fn expected(typical_p: f64, logits: &[f64]) -> Vec<usize> {
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let logps: Vec<f64> = logits.iter().map(|logit| logit - total.ln()).collect();
        let entropy: f64 = -logps.iter().filter(|logp| logp.is_finite()).map(|x| x.exp() * x).sum::<f64>();
        let mut ids: Vec<usize> = (0..logits.len()).collect();
        ids.sort_by(|a, b| (logps[*a] + entropy).abs().total_cmp(&(logps[*b] + entropy).abs()));
        let mut mass = 0.0;
        let mut left = Vec::new();
        for id in ids {
            if mass < typical_p {
                left.push(id);
            }
            mass += logps[id].exp();
        }
        left.sort_unstable();
        left
    }

    #[test]
    fn a_probable_token_goes_if_it_says_less_than_is_expected() {
        // Probabilities 0.4, 0.12 five times: the entropy is 1.64, -log 0.12 is 2.12, and -log 0.4 is 0.92.
        let logits = [0.4f64, 0.12, 0.12, 0.12, 0.12, 0.12].map(f64::ln);
        assert_eq!(left(0.5, &logits), [1, 2, 3, 4, 5]);
        assert_eq!(left(0.7, &logits), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn tokens_are_left_in_the_order_in_which_they_are_typical() {
        let logits: Vec<f64> = (0..40).map(|id| 4.0 * f64::sin(f64::from(id) * f64::from(id))).collect();
        for typical_p in [0.01, 0.2, 0.5, 0.9, 0.95, 1.0] {
            assert_eq!(left(typical_p, &logits), expected(typical_p, &logits), "{typical_p}");
        }
    }

    #[test]
    fn the_same_tokens_are_left_as_by_transformers() {
        // `TypicalLogitsWarper` of transformers 5.19.
        let logits: Vec<f64> = (0..40).map(|id| 4.0 * f64::sin(f64::from(id) * f64::from(id))).collect();
        assert_eq!(left(0.2, &logits), [8, 21, 33]);
        assert_eq!(left(0.5, &logits), [1, 8, 14, 21, 23, 33]);
        assert_eq!(left(0.9, &logits), [1, 8, 11, 14, 21, 23, 30, 33, 36]);
        let ruled_out = [1.0, f64::NEG_INFINITY, 3.0, -2.0, f64::NEG_INFINITY, 2.0];
        assert_eq!(left(0.95, &ruled_out), [0, 2, 5]);
    }

    #[test]
    fn what_is_ruled_out_counts_for_nothing() {
        let logits = [1.0, f64::NEG_INFINITY, 3.0, -2.0, f64::NEG_INFINITY, 2.0];
        for typical_p in [0.2, 0.6, 0.95] {
            assert_eq!(left(typical_p, &logits), expected(typical_p, &logits), "{typical_p}");
        }
        assert_eq!(left(0.5, &[f64::NEG_INFINITY, 7.0]), [1]);
    }

    #[test]
    fn shares_that_are_none_are_refused() {
        for typical_p in [0.0, 1.5, f64::NAN] {
            assert!(adjust(&Typical { typical_p }, &[0.0], &Answered::new(&[1], &[])).is_err());
        }
    }
}
