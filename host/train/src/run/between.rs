//! What is done between two steps: callbacks, log lines, evaluations, checkpoints.

use serde_json::json;
use swift_runtime::{Action, Event, RunState};

use super::Run;
use crate::checkpoint;
use crate::metrics::Numbers;
use crate::number::Number;
use crate::progress::{CallbackState, Saved, SinceLog, write_state};
use crate::run_directory::ARGUMENTS_FILE;
use crate::{Error, Result, When};

/// The optimiser's file in a checkpoint.
pub(super) const OPTIMIZER_FILE: &str = "optimizer.safetensors";

impl Run<'_> {
    /// What comes before the first step. A resumed run goes on where the checkpoint was written: right after it.
    pub(super) fn begin(&mut self) -> Result<()> {
        if self.resumed {
            return self.tell(Event::Save, &Numbers::new());
        }
        self.tell(Event::TrainBegin, &Numbers::new())?;
        if self.options.eval_on_start {
            self.evaluate()?;
        }
        Ok(())
    }

    /// What comes after a step.
    pub(super) fn between_steps(&mut self, epoch_ended: bool) -> Result<()> {
        let (step, last) = (self.progress.step, self.progress.step >= self.plan.max_steps);
        self.tell(Event::StepEnd, &Numbers::new())?;
        if epoch_ended {
            self.tell(Event::EpochEnd, &Numbers::new())?;
        }
        let stopping = self.progress.pending.stop.is_some();
        let first = step == 1 && self.options.logging_first_step;
        if first || last || stopping || step.is_multiple_of(self.options.logging_steps.get()) {
            self.log()?;
        }
        let due = self.validation.is_some() && self.options.evaluate.due(step, epoch_ended, last);
        if std::mem::take(&mut self.progress.pending.evaluate) || due {
            self.evaluate()?;
        }
        let stopping = self.progress.pending.stop.is_some() && self.options.save != When::Never;
        let due = self.options.save.due(step, epoch_ended, last);
        if std::mem::take(&mut self.progress.pending.save) || due || stopping {
            self.save()?;
        }
        Ok(())
    }

    /// Tells all callbacks what has happened, and notes what they want done.
    pub(super) fn tell(&mut self, event: Event, numbers: &Numbers) -> Result<()> {
        let number =
            |(name, value): (&String, &serde_json::Value)| (name.clone(), value.as_f64().unwrap_or(f64::NAN));
        let state = RunState {
            step: self.progress.step,
            max_steps: self.plan.max_steps,
            epoch: self.progress.epochs_done.0,
            learning_rate: self.progress.learning_rate.0,
            metrics: numbers.iter().map(number).collect(),
        };
        let pending = &mut self.progress.pending;
        let view = self.learner.view();
        for callback in &mut self.callbacks {
            for action in callback.on_event(event, &state, view.clone())? {
                match action {
                    Action::Save => pending.save = true,
                    Action::Evaluate if self.validation.is_some() => pending.evaluate = true,
                    Action::Evaluate => self.observer.message(&format!(
                        "The callback `{}` wants an evaluation, but there is no validation set",
                        callback.name()
                    )),
                    Action::Stop(reason) => {
                        pending.stop.get_or_insert_with(|| (callback.name().to_owned(), reason));
                    }
                    Action::LogMetric(name, value) => pending.numbers.push((name, Number(value))),
                }
            }
        }
        Ok(())
    }

    /// Writes what was observed since the last line.
    fn log(&mut self) -> Result<()> {
        let SinceLog { steps, loss, metrics } = std::mem::take(&mut self.progress.since_log);
        let mut line = Numbers::new();
        line.insert("loss".into(), json!(loss.0 / steps as f64));
        line.insert("grad_norm".into(), json!(self.progress.gradient_norm.0));
        // As ms-swift logs it: the learning rate of the step to come.
        line.insert("learning_rate".into(), json!(self.schedule.learning_rate(self.progress.step)?));
        for (name, mean) in metrics.means() {
            self.insert(&mut line, name, mean);
        }
        self.add_numbers_of_callbacks(&mut line);
        let line = self.write(line, true)?;
        self.tell(Event::Log, &line)
    }

    /// Adds a number to a line, unless there is one of that name.
    pub(super) fn insert(&mut self, line: &mut Numbers, name: &str, value: f64) {
        match line.contains_key(name) {
            true => {
                self.observer.message(&format!("A second number `{name}` for the same log line was left out"))
            }
            false => {
                line.insert(name.into(), json!(value));
            }
        }
    }

    pub(super) fn add_numbers_of_callbacks(&mut self, line: &mut Numbers) {
        for (name, value) in std::mem::take(&mut self.progress.pending.numbers) {
            self.insert(line, &name, value.0);
        }
    }

    /// Adds a line to the history, and with the time to the files. Gives the numbers of the history.
    pub(super) fn write(&mut self, mut line: Numbers, training: bool) -> Result<Numbers> {
        let step = self.progress.step;
        line.insert("epoch".into(), json!(self.progress.epochs_done.0));
        let numbers = line.clone();
        self.clock.add_progress(&mut line, step, self.plan.max_steps);
        if training {
            self.clock.add_throughput(&mut line);
        }
        self.directory.add(step, &line)?;
        self.observer.logged(&line);
        let mut entry = numbers.clone();
        entry.insert("step".into(), json!(step));
        self.progress.history.push(entry);
        Ok(numbers)
    }

    /// Writes a checkpoint unless the newest one is of this step.
    pub(super) fn save_if_changed(&mut self) -> Result<()> {
        if self.progress.step > 0 && self.progress.saved != Some(self.progress.step) {
            self.save()
        } else {
            Ok(())
        }
    }

    fn save(&mut self) -> Result<()> {
        let progress = &mut self.progress;
        let step = progress.step;
        progress.saved = Some(step);
        if let Some(best) = progress.best.as_mut().filter(|best| best.step == step) {
            best.checkpoint = Some(step);
        }
        let callbacks = self.callbacks.iter_mut().map(|callback| {
            Ok(CallbackState { name: callback.name().to_owned(), state: callback.save_state()? })
        });
        let callbacks = callbacks.collect::<Result<Vec<_>>>()?;
        let run = self.directory.path();
        let loss = self.learner.loss_mut().save_state()?;
        let lock = self.output.lock.clone();
        let saved = Saved::new(progress.clone(), loss, callbacks, self.directory.sync()?, lock);
        let path = checkpoint::write(run, step, |folder| {
            self.learner.model().save(folder)?;
            self.learner.optimizer_mut().save(&folder.join(OPTIMIZER_FILE))?;
            saved.write(folder)?;
            write_state(folder, run, &saved.progress, &self.plan, &self.options)?;
            checkpoint::write_json(&folder.join(ARGUMENTS_FILE), &self.output.arguments)?;
            self.output.companions.iter().try_for_each(|file| {
                let copy = folder.join(file.file_name().unwrap_or_default());
                std::fs::copy(file, &copy).map(drop).map_err(Error::write(&copy))
            })
        })?;
        if let Some(limit) = self.options.save_total_limit {
            let best = saved.progress.best.and_then(|best| best.checkpoint);
            checkpoint::rotate(run, limit.get(), best)?;
        }
        self.observer.saved(&path);
        self.tell(Event::Save, &Numbers::new())
    }
}
