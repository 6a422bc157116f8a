//! Perplexity: how many tokens the model wavers between, on average (Jelinek et al. 1977).

use swift_plugin::prelude::*;

parameters! {
    /// Perplexity of a validation set: `e` to the power of the mean loss of a labelled token.
    pub struct Perplexity {}
}

/// Sums over the batches so far.
#[derive(Default)]
pub struct Sums {
    negative_logps: f64,
    labels: f64,
}

impl Metric for Perplexity {
    type Gathered = Sums;

    fn observe(&self, sums: &mut Sums, batch: &Batch, policy: &Outputs) -> Result<()> {
        let total = |tensor: Tensor| -> Result<f64> { Ok(tensor.sum_all().to_list()?.iter().sum()) };
        sums.negative_logps -= total(policy.token_logps()?)?;
        sums.labels += total(batch.label_mask())?;
        Ok(())
    }

    /// `exp(-sum of log p / labels)`. Weights of labels do not enter: it is a number about the model.
    fn finish(&self, sums: Sums) -> Result<Vec<(String, f64)>> {
        Ok(vec![("perplexity".to_owned(), (sums.negative_logps / sums.labels).exp())])
    }
}

export!(Perplexity: Metric);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, measure};

    #[test]
    fn it_is_the_geometric_mean_of_one_over_the_probabilities_of_all_batches() {
        let first = (PackedBatch::new(&[3]), ModelOutputs::new(&[0.5f64.ln(), 0.25f64.ln(), 0.0]));
        let second = (PackedBatch::new(&[2]), ModelOutputs::new(&[0.125f64.ln(), 0.0]));
        let numbers = measure(&Perplexity {}, &[first, second]).unwrap();
        let expected = (2.0f64 * 4.0 * 8.0).powf(1.0 / 3.0);
        assert_eq!(numbers.len(), 1);
        assert_eq!(numbers[0].0, "perplexity");
        assert!((numbers[0].1 - expected).abs() < 1e-12, "{} is not {expected}", numbers[0].1);
    }
}
