use candle_core::Tensor as Value;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::Result;
use crate::number::Number;
use crate::values::weighted_sum;

/// Weighted means of observations, by name, in the order of their first appearance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metrics(Vec<Mean>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mean {
    name: String,
    sum: Number,
    weight: Number,
}

impl Metrics {
    /// Adds observations, each with its weight, or each once.
    pub(crate) fn observe(&mut self, name: &str, values: &Value, weights: Option<&Value>) -> Result<()> {
        let (sum, weight) = weighted_sum(values, weights)?;
        match self.0.iter_mut().find(|mean| mean.name == name) {
            Some(mean) => {
                mean.sum.0 += sum;
                mean.weight.0 += weight;
            }
            None => self.0.push(Mean { name: name.into(), sum: Number(sum), weight: Number(weight) }),
        }
        Ok(())
    }

    /// Names and means; what nothing was observed of has none.
    pub(crate) fn means(&self) -> impl Iterator<Item = (&str, f64)> {
        let observed = self.0.iter().filter(|mean| mean.weight.0 != 0.0);
        observed.map(|mean| (mean.name.as_str(), mean.sum.0 / mean.weight.0))
    }
}

/// The numbers of a log line, by name and in order. What is not a finite number is `null`.
pub type Numbers = Map<String, serde_json::Value>;

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn vector(elements: &[f32]) -> Value {
        Value::from_slice(elements, elements.len(), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_mean_is_over_all_observations_and_not_over_batches() {
        let mut metrics = Metrics::default();
        metrics.observe("b", &vector(&[1.0, 2.0, 6.0]), None).unwrap();
        metrics.observe("a", &vector(&[1.0, f32::NAN, 5.0]), Some(&vector(&[3.0, 0.0, 1.0]))).unwrap();
        metrics.observe("b", &vector(&[7.0]), None).unwrap();
        metrics.observe("none", &vector(&[]), None).unwrap();
        assert_eq!(metrics.means().collect::<Vec<_>>(), [("b", 4.0), ("a", 2.0)]);
    }

    #[test]
    fn sums_survive_a_checkpoint_bit_by_bit() {
        let mut metrics = Metrics::default();
        metrics.observe("third", &vector(&[0.1, 0.2]), Some(&vector(&[1.0, 2.0]))).unwrap();
        metrics.observe("broken", &vector(&[f32::NAN]), None).unwrap();
        let text = serde_json::to_string(&metrics).unwrap();
        let restored: Metrics = serde_json::from_str(&text).unwrap();
        assert_eq!(restored.0[0], metrics.0[0]);
        assert!(restored.0[1].sum.0.is_nan());
    }
}
