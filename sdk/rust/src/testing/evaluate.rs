use std::collections::BTreeMap;

use swift_tensor::{GradientSink, ParameterId, Value};

use super::{ModelOutputs, PackedBatch};
use crate::loss::Report;
use crate::{Batch, Loss, Outputs, Result, Tensor, bail};

/// What a loss made of a batch.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The loss.
    pub loss: f64,
    /// The mean of each metric's observations, in the order of the report.
    pub metrics: Vec<(String, f64)>,
    gradients: BTreeMap<&'static str, Vec<f64>>,
}

impl Evaluation {
    /// The mean of a metric's observations; NaN if the loss did not report it.
    pub fn metric(&self, name: &str) -> f64 {
        self.metrics.iter().find(|metric| metric.0 == name).map_or(f64::NAN, |metric| metric.1)
    }

    /// The gradient of the loss by one of the policy's outputs: `token_logps`, `logits`, `hidden`, `last_hidden`, `scores`,
    /// `token_scores`. Empty if the test gave no such output.
    pub fn gradient(&self, output: &str) -> &[f64] {
        self.gradients.get(output).map_or(&[], Vec::as_slice)
    }
}

/// Computes a loss, its metrics and its gradient.
///
/// # Errors
/// What the loss gives; or that its result is no scalar, or a number of a test does not fit its batch.
pub fn evaluate(
    loss: &impl Loss,
    batch: &PackedBatch,
    policy: &ModelOutputs,
    reference: Option<&ModelOutputs>,
) -> Result<Evaluation> {
    let report = report(loss, batch, policy, reference)?;
    let value = scalar(&report.loss)?;
    let mut sink = Sink(BTreeMap::new());
    let handle = report.loss.handle()?;
    if handle.requires_grad() {
        swift_tensor::backward(handle, &mut sink)?;
    }
    let columns = (0..).zip(&policy.columns).filter(|(_, column)| column.differentiable);
    let gradients = columns.map(|(id, column)| {
        let zeros = || vec![0.0; column.values.len()];
        let mut gradient = sink.0.remove(&ParameterId(id)).unwrap_or_else(zeros);
        column.fill_unlabelled(&mut gradient, batch, 0.0);
        (column.name, gradient)
    });
    let gradients = gradients.collect();
    let metrics = report.metrics.into_iter().map(|(name, values, weights)| {
        let mean = mean(&values.to_list()?, weights.map(|weights| weights.to_list()).transpose()?)?;
        Ok((name, mean))
    });
    Ok(Evaluation { loss: value, metrics: metrics.collect::<Result<_>>()?, gradients })
}

/// Compares the gradient of a loss by each of the policy's differentiable outputs with central finite differences.
///
/// # Errors
/// The first element whose gradients differ, with both; or what [`evaluate`] gives.
pub fn check_gradient(
    loss: &impl Loss,
    batch: &PackedBatch,
    policy: &ModelOutputs,
    reference: Option<&ModelOutputs>,
) -> Result<()> {
    // In `float64` the error of the difference is about 1e-10 (of the formula) plus 1e-11 (of rounding).
    const STEP: f64 = 1e-5;
    const TOLERANCE: f64 = 1e-7;
    let evaluation = evaluate(loss, batch, policy, reference)?;
    for (column, name) in policy.columns.iter().map(|column| column.name).enumerate() {
        for (element, &analytic) in evaluation.gradient(name).iter().enumerate() {
            let moved = |by: f64| {
                let mut policy = policy.clone();
                let values = policy.columns.get_mut(column).map(|column| &mut column.values);
                if let Some(value) = values.and_then(|values| values.get_mut(element)) {
                    *value += by;
                }
                scalar(&report(loss, batch, &policy, reference)?.loss)
            };
            let numeric = (moved(STEP)? - moved(-STEP)?) / (2.0 * STEP);
            if (analytic - numeric).abs() > TOLERANCE * (1.0 + numeric.abs()) || analytic.is_nan() {
                bail!("the gradient by `{name}` {element} is {analytic}, by finite differences {numeric}");
            }
        }
    }
    Ok(())
}

fn report(
    loss: &impl Loss,
    batch: &PackedBatch,
    policy: &ModelOutputs,
    reference: Option<&ModelOutputs>,
) -> Result<Report> {
    let policy = policy.tensors(batch, true)?;
    let reference = reference.map(|reference| reference.tensors(batch, false)).transpose()?;
    let reference = reference.as_ref().map(Outputs);
    let input = loss.requirements().input;
    loss.compute(&Batch(batch.view(input)), &Outputs(&policy), reference.as_ref())
}

fn scalar(tensor: &Tensor) -> Result<f64> {
    match (tensor.shape()?.as_slice(), tensor.to_list()?.as_slice()) {
        ([], [value]) => Ok(*value),
        (shape, _) => bail!("the loss has shape {shape:?}, not that of a scalar"),
    }
}

fn mean(values: &[f64], weights: Option<Vec<f64>>) -> Result<f64> {
    let weights = weights.unwrap_or_else(|| vec![1.0; values.len()]);
    if weights.len() != values.len() {
        bail!("a metric has {} observations and {} weights", values.len(), weights.len());
    }
    let sum: f64 = values.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
    Ok(sum / weights.iter().sum::<f64>())
}

struct Sink(BTreeMap<ParameterId, Vec<f64>>);

impl GradientSink for Sink {
    fn accumulate(&mut self, id: ParameterId, gradient: &Value) -> swift_tensor::Result<()> {
        let gradient: Vec<f64> = gradient.flatten_all()?.to_vec1()?;
        let sum = self.0.entry(id).or_insert_with(|| vec![0.0; gradient.len()]);
        for (sum, part) in sum.iter_mut().zip(gradient) {
            *sum += part;
        }
        Ok(())
    }
}
