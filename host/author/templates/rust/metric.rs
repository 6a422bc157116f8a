//! Describe what your metric measures.

use swift_plugin::prelude::*;

parameters! {
    /// Share of the labels that the model thinks most likely.
    pub struct PluginName {}
}

/// Sums over the batches so far.
#[derive(Default)]
pub struct Sums {
    hits: f64,
    labels: f64,
}

impl Metric for PluginName {
    type Gathered = Sums;

    fn observe(&self, sums: &mut Sums, batch: &Batch, policy: &Outputs) -> Result<()> {
        let total = |tensor: Tensor| -> Result<f64> { Ok(tensor.sum_all().to_list()?.iter().sum()) };
        let mask = batch.label_mask();
        let hits = policy.predictions()?.eq(batch.labels()).cast(mask.dtype()?);
        sums.hits += total(hits * &mask)?;
        sums.labels += total(mask)?;
        Ok(())
    }

    fn finish(&self, sums: Sums) -> Result<Vec<(String, f64)>> {
        Ok(vec![("accuracy".to_owned(), sums.hits / sums.labels)])
    }
}

export!(PluginName: Metric);

#[cfg(test)]
mod tests {
    use super::*;
    use swift_plugin::testing::{ModelOutputs, PackedBatch, measure};

    #[test]
    fn hits_are_counted_over_all_batches() {
        let batch = |ids: &[i64]| {
            let batch = PackedBatch::new(&[3]).labels(&[5, 6, -100]);
            (batch, ModelOutputs::new(&[0.0; 3]).predictions(ids))
        };
        let numbers = measure(&PluginName {}, &[batch(&[5, 6, -1]), batch(&[5, 7, -1])]).unwrap();
        assert_eq!(numbers, [("accuracy".to_owned(), 0.75)]);
    }
}
