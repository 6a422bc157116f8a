use std::num::NonZeroUsize;
use std::time::Instant;

use serde_json::json;
use swift_data::{Dataset, PackedBatch};
use swift_runtime::{Event, Input};

use super::Run;
use crate::batch::{Place, Totals};
use crate::layout::collate;
use crate::metrics::{Metrics, Numbers};
use crate::number::Number;
use crate::progress::Best;
use crate::{Error, Result};

/// Set before the names of all numbers of an evaluation.
const PREFIX: &str = "eval_";

/// A validation set in batches.
pub(super) struct Validation {
    pub(super) dataset: Dataset,
    input: Input,
    batches: Vec<Vec<usize>>,
    /// Of the whole set, so that the loss does not depend on the batches.
    totals: Totals,
}

impl Validation {
    pub(super) fn new(dataset: Dataset, input: Input, batch_size: NonZeroUsize) -> Result<Self> {
        let indices: Vec<usize> = (0..dataset.len()).collect();
        let batches: Vec<Vec<usize>> = indices.chunks(batch_size.get()).map(<[usize]>::to_vec).collect();
        let mut validation = Self { dataset, input, batches, totals: Totals::default() };
        for indices in &validation.batches {
            validation.totals += Totals::of(&validation.batch(indices)?);
        }
        Ok(validation)
    }

    /// One batch, which is a window of its own.
    fn batch(&self, indices: &[usize]) -> Result<Vec<PackedBatch>> {
        collate(self.input, &self.dataset, &[indices])
    }
}

impl Run<'_> {
    /// Evaluates the validation set, if there is one, and writes a line about it.
    pub(super) fn evaluate(&mut self) -> Result<()> {
        let Some(validation) = &self.validation else { return Ok(()) };
        let Validation { dataset, batches, totals, .. } = validation;
        let began = Instant::now();
        let mut metrics = Metrics::default();
        let mut loss = 0.0;
        for (indices, number) in batches.iter().zip(0..) {
            let place =
                Place { step: self.progress.step, micro_batch: number, totals: *totals, training: false };
            for packed in validation.batch(indices)? {
                loss += self.learner.evaluate(&packed, place, &mut metrics, &mut self.metrics)?;
            }
            self.observer.evaluating(number as usize + 1, batches.len());
        }
        let seconds = began.elapsed().as_secs_f64();
        let (rows, steps) = (dataset.len() as f64, batches.len() as f64);
        let mut line = Numbers::from_iter([("eval_loss".to_owned(), json!(loss))]);
        for (name, mean) in metrics.means() {
            self.insert(&mut line, &format!("{PREFIX}{name}"), mean);
        }
        let numbers = self.metrics.iter_mut().map(|metric| metric.finish()).collect::<Result<Vec<_>>>()?;
        for (name, number) in numbers.into_iter().flatten() {
            self.insert(&mut line, &format!("{PREFIX}{name}"), number);
        }
        if !loss.is_finite() {
            self.observer.message(&format!(
                "The loss of the validation set after step {} is not finite",
                self.progress.step
            ));
        }
        self.compare(&line)?;
        line.insert("eval_runtime".into(), json!(seconds));
        line.insert("eval_samples_per_second".into(), json!(rows / seconds));
        line.insert("eval_steps_per_second".into(), json!(steps / seconds));
        let numbers = self.write(line, false)?;
        self.tell(Event::Evaluate, &numbers)
    }

    /// Takes note if this is the best evaluation so far.
    fn compare(&mut self, line: &Numbers) -> Result<()> {
        let metric = &self.options.metric_for_best_model;
        let name = format!("{PREFIX}{}", metric.strip_prefix(PREFIX).unwrap_or(metric));
        let reported = || line.keys().cloned().collect();
        let value = line
            .get(&name)
            .ok_or_else(|| Error::MetricMissing { name: name.clone(), reported: reported() })?;
        let value = value.as_f64().unwrap_or(f64::NAN);
        if self.progress.improves(value, self.options.greater_is_better) {
            let checkpoint = self.progress.best.as_ref().and_then(|best| best.checkpoint);
            self.progress.best = Some(Best { metric: Number(value), step: self.progress.step, checkpoint });
        }
        Ok(())
    }
}
