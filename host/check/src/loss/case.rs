//! A loss computed for seeded data.

use std::collections::BTreeMap;
use std::sync::Arc;

use swift_runtime::{BatchView, LossPlugin, LossReport, Metric, OutputsView, Requirements, Result};
use swift_tensor::{DType, GradientSink, ParameterId, Tensor, Value, backward};

use crate::seeded::{Batch, Column, Computed, Shape, columns};

/// Outputs of a score head whose number the run says.
const OUTPUTS: u64 = 3;

/// A batch and what the models computed for it.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) shape: Arc<Shape>,
    pub(crate) policy: Arc<Vec<Column>>,
    reference: Option<Arc<Vec<Column>>>,
    teacher: Option<Arc<Vec<Column>>>,
    requirements: Requirements,
}

/// The numbers of a report.
pub(crate) struct Evaluation {
    pub(crate) loss: f64,
    /// The means of the metrics that something was observed for.
    pub(crate) metrics: Vec<(String, f64)>,
    /// By the policy's columns, which are named by their numbers.
    pub(crate) gradient: BTreeMap<ParameterId, Vec<f64>>,
}

impl Case {
    pub(crate) fn all(shapes: Vec<Shape>, requirements: Requirements) -> Result<Vec<Self>> {
        let outputs = requirements.score_head.map(|outputs| match outputs {
            0 => OUTPUTS,
            outputs => outputs.into(),
        });
        let case = |shape: Shape| {
            let model = |number| columns(&shape, outputs, number);
            Ok(Self {
                policy: model(0)?,
                reference: requirements.reference.then(|| model(1)).transpose()?,
                teacher: requirements.teacher.then(|| model(2)).transpose()?,
                requirements,
                shape: Arc::new(shape),
            })
        };
        shapes.into_iter().map(case).collect()
    }

    /// The same with one element of the policy's outputs moved.
    pub(crate) fn moved(&self, column: u32, element: usize, by: f64) -> Self {
        let mut columns = (*self.policy).clone();
        let values = columns.get_mut(column as usize).map(|column| &mut column.values);
        if let Some(value) = values.and_then(|values| values.get_mut(element)) {
            *value += by;
        }
        Self { policy: Arc::new(columns), ..self.clone() }
    }

    /// What a loss is shown at an optimiser step.
    pub(crate) fn views(&self, dtype: DType, step: u64) -> Result<Views> {
        let outputs = |columns: &Arc<Vec<Column>>, trained| -> Result<Arc<dyn OutputsView>> {
            Ok(Arc::new(Computed::new(columns, &self.shape, dtype, trained)?))
        };
        let batch = Batch::new(&self.shape, self.requirements.input, dtype, step, self.teacher.as_ref())?;
        let reference = self.reference.as_ref().map(|columns| outputs(columns, false)).transpose()?;
        Ok(Views { batch: Arc::new(batch), policy: outputs(&self.policy, true)?, reference })
    }

    /// The loss at an optimiser step.
    pub(crate) fn compute(&self, loss: &mut LossPlugin, dtype: DType, step: u64) -> Result<LossReport> {
        self.views(dtype, step)?.compute(loss)
    }

    /// The loss, its metrics and its gradient.
    pub(crate) fn evaluate(&self, loss: &mut LossPlugin, dtype: DType, step: u64) -> Result<Evaluation> {
        let report = self.compute(loss, dtype, step)?;
        let mut sink = Sink::default();
        // A loss that does not depend on the model has no gradient to look at, which comparing it shows.
        if report.loss.requires_grad() {
            backward(&report.loss, &mut sink)?;
        }
        let metrics = report.metrics.iter().filter_map(|metric| {
            let mean = mean(metric).transpose()?;
            Some(mean.map(|mean| (metric.name.clone(), mean)))
        });
        let metrics = metrics.collect::<Result<_>>()?;
        Ok(Evaluation { loss: scalar(&report.loss)?, metrics, gradient: sink.0 })
    }
}

/// What a loss is shown.
pub(crate) struct Views {
    batch: Arc<dyn BatchView>,
    policy: Arc<dyn OutputsView>,
    reference: Option<Arc<dyn OutputsView>>,
}

impl Views {
    pub(crate) fn compute(&self, loss: &mut LossPlugin) -> Result<LossReport> {
        loss.compute(self.batch.clone(), self.policy.clone(), self.reference.clone())
    }
}

impl Evaluation {
    /// Everything, to the last bit.
    pub(crate) fn bits(&self) -> Vec<u64> {
        let metrics = self.metrics.iter().map(|(_, value)| value);
        let gradient = self.gradient.values().flatten();
        std::iter::once(&self.loss).chain(metrics).chain(gradient).map(|value| value.to_bits()).collect()
    }
}

/// The only element.
pub(crate) fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_list()?.first().copied().unwrap_or(f64::NAN))
}

/// The mean of a metric's observations; none if nothing was observed.
fn mean(metric: &Metric) -> Result<Option<f64>> {
    let values = metric.values.to_list()?;
    let weights = match &metric.weights {
        Some(weights) => weights.to_list()?,
        None => vec![1.0; values.len()],
    };
    let weight: f64 = weights.iter().sum();
    let sum: f64 =
        values.iter().zip(&weights).filter(|(_, weight)| **weight != 0.0).map(|(v, w)| v * w).sum();
    Ok((weight != 0.0).then(|| sum / weight))
}

/// Sums gradients.
#[derive(Default)]
struct Sink(BTreeMap<ParameterId, Vec<f64>>);

impl GradientSink for Sink {
    fn accumulate(&mut self, id: ParameterId, gradient: &Value) -> swift_tensor::Result<()> {
        let gradient: Vec<f64> = gradient.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let sum = self.0.entry(id).or_insert_with(|| vec![0.0; gradient.len()]);
        sum.iter_mut().zip(gradient).for_each(|(sum, part)| *sum += part);
        Ok(())
    }
}
