use serde_json::json;
use swift_runtime::Event;

use super::Run;
use crate::metrics::Numbers;
use crate::statistics::{model_parameter_info, peak_memory, token_lengths};
use crate::training::{Ending, Summary};
use crate::{Result, checkpoint};

impl Run<'_> {
    /// Writes the last lines and draws the curves. An interrupted run is not at its end and gets no last lines.
    pub(crate) fn finish(mut self, ending: Ending) -> Result<Summary> {
        let train_loss = self.progress.total_loss.0 / self.progress.step.max(1) as f64;
        if ending != Ending::Interrupted {
            self.tell(Event::TrainEnd, &Numbers::new())?;
            let pending = &self.progress.pending;
            if pending.save || pending.evaluate {
                self.observer
                    .message("A callback wants something done after the last step, which is left undone");
            }
            self.write_totals(train_loss)?;
            self.write_last_line()?;
        }
        self.draw()?;
        let run = self.directory.path();
        Ok(Summary {
            ending,
            step: self.progress.step,
            max_steps: self.plan.max_steps,
            train_loss,
            last_checkpoint: self.progress.saved.map(|step| checkpoint::folder(run, step)),
            best_checkpoint: self.progress.best_checkpoint(run),
            best_metric: self.progress.best.as_ref().map(|best| best.metric.0),
            images: self.directory.images(),
            history: self.progress.history,
        })
    }

    /// Leaves a run that failed: with its curves, which help to understand why, or without a trace if it did not get
    /// anywhere, so that it can be tried again.
    pub(crate) fn break_off(self) -> Result<()> {
        if self.progress.step == 0 && !self.resumed { self.directory.discard() } else { self.draw() }
    }

    fn draw(&self) -> Result<()> {
        self.directory.draw(&self.progress.history)
    }

    fn write_totals(&mut self, train_loss: f64) -> Result<()> {
        let totals = self.clock.totals(self.progress.step);
        let mut line: Numbers = totals.into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
        line.insert("train_loss".into(), json!(train_loss));
        self.add_numbers_of_callbacks(&mut line);
        self.write(line, false).map(drop)
    }

    /// What ms-swift writes into the last line of the log.
    fn write_last_line(&mut self) -> Result<()> {
        let run = self.directory.path();
        let progress = &self.progress;
        let mut line = Numbers::new();
        line.insert("train_dataset".into(), json!(token_lengths(&self.dataset)?));
        if let Some(validation) = &self.validation {
            line.insert("val_dataset".into(), json!(token_lengths(&validation.dataset)?));
        }
        let last = progress.saved.map(|step| checkpoint::folder(run, step));
        line.insert("model_parameter_info".into(), json!(model_parameter_info(self.learner.model())));
        line.insert("last_model_checkpoint".into(), json!(last));
        line.insert("best_model_checkpoint".into(), json!(progress.best_checkpoint(run)));
        line.insert("best_metric".into(), json!(progress.best.as_ref().map(|best| best.metric.0)));
        line.insert("global_step".into(), json!(progress.step));
        line.insert("log_history".into(), json!(progress.history));
        line.insert("memory".into(), json!(peak_memory()));
        self.directory.add_line(&line)
    }
}
