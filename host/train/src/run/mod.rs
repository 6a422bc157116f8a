//! The loop: step after step, and what is done between two of them.

mod between;
mod ending;
mod evaluation;
mod resume;
mod rollouts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use swift_data::{BatchPlan, Dataset, Window};
use swift_runtime::Input;

use crate::clock::Clock;
use crate::layout::collate;
use crate::learner::Learner;
use crate::number::Number;
use crate::progress::{Plan, Progress};
use crate::rollouts::Rollouts;
use crate::run_directory::RunDirectory;
use crate::schedule::Schedule;
use crate::statistics::model_parameter_info;
use crate::training::{Ending, Output, Training};
use crate::{Callback, Error, Metric, Observer, Result, RunStarted, TrainerOptions, When};

use self::evaluation::Validation;

/// A run that is going on.
pub(crate) struct Run<'a> {
    learner: Learner,
    callbacks: Vec<Box<dyn Callback>>,
    metrics: Vec<Box<dyn Metric>>,
    dataset: Dataset,
    order: BatchPlan,
    rollouts: Option<Rollouts>,
    validation: Option<Validation>,
    options: TrainerOptions,
    schedule: Schedule,
    plan: Plan,
    progress: Progress,
    directory: RunDirectory,
    output: Output,
    clock: Clock,
    interrupt: Arc<AtomicBool>,
    /// Whether it goes on from a checkpoint.
    resumed: bool,
    observer: &'a mut dyn Observer,
}

impl<'a> Run<'a> {
    /// Checks everything, takes up a checkpoint, and makes the run directory.
    pub(crate) fn start(training: Training, observer: &'a mut dyn Observer) -> Result<Self> {
        let Training { options, dataset, plan: order, output, mut callbacks, .. } = training;
        check(&options)?;
        let rollouts = training.rollouts;
        let steps = rollouts.as_ref().map_or(1, |rollouts| rollouts.options.steps());
        let plan = Plan::new(&options, order.windows_per_epoch() * steps)?;
        let schedule =
            Schedule::new(&options.schedule, training.schedule, options.learning_rate, plan.max_steps)?;
        let mut learner = Learner::new(
            training.model,
            training.reference,
            training.teacher,
            training.loss,
            training.optimizer,
            &options,
            rollouts.as_ref().map(|rollouts| &rollouts.options),
        )?;
        match (learner.input(), &rollouts) {
            (Input::Rollouts, None) => return Err(Error::RolloutsMissing),
            (Input::Rollouts, Some(rollouts)) => drop(rollouts.options.prompts()?),
            _ => {}
        }
        if rollouts.is_some() && training.validation.is_some() {
            return Err(Error::setting("val-dataset", "has no use: answers are not evaluated"));
        }
        let validation = training
            .validation
            .map(|set| Validation::new(set, learner.input(), options.eval_batch_size))
            .transpose()?;
        let (mut progress, directory) = match &training.resume_from {
            Some(checkpoint) => resume::take_up(checkpoint, &output, &mut learner, &mut callbacks, observer)?,
            None => {
                (Progress::default(), RunDirectory::create(&output.folder, &output.arguments, &output.lock)?)
            }
        };
        if learner.scales_gradients() {
            progress.gradient_scale.get_or_insert_default();
        }
        observer.started(&RunStarted {
            folder: directory.path(),
            step: progress.step,
            max_steps: plan.max_steps,
            epochs: plan.epochs,
            examples: dataset.len(),
            model_parameter_info: &model_parameter_info(learner.model()),
        });
        let clock = Clock::start(progress.step);
        Ok(Self {
            learner,
            callbacks,
            metrics: training.metrics,
            dataset,
            order,
            rollouts,
            validation,
            options,
            schedule,
            plan,
            progress,
            directory,
            output,
            clock,
            interrupt: training.interrupt,
            resumed: training.resume_from.is_some(),
            observer,
        })
    }

    /// Takes all steps that are left.
    pub(crate) fn all_steps(&mut self) -> Result<Ending> {
        self.begin()?;
        let mut windows = Vec::new();
        let mut epoch_of_windows = None;
        loop {
            if let Some((by, reason)) = self.progress.pending.stop.take() {
                return Ok(Ending::Stopped { by, reason });
            }
            if self.progress.step >= self.plan.max_steps {
                return Ok(Ending::Completed);
            }
            if self.interrupt.load(Ordering::SeqCst) {
                self.save_if_changed()?;
                return Ok(Ending::Interrupted);
            }
            if epoch_of_windows != Some(self.progress.epoch) {
                windows = self.order.epoch(self.progress.epoch);
                epoch_of_windows = Some(self.progress.epoch);
            }
            self.one_step(&windows)?;
        }
    }

    fn one_step(&mut self, windows: &[Window]) -> Result<()> {
        let began = Instant::now();
        let number = self.progress.window as usize;
        let longer =
            || Error::setting("resume-from-checkpoint", "names a checkpoint of a run with longer epochs");
        let of_window = self.steps_per_window();
        let (index, part) = (number / of_window, number % of_window);
        let window = windows.get(index).ok_or_else(longer)?;
        let batches = match self.rollouts {
            Some(_) => self.rollout_window(windows, index, part)?,
            None => collate(self.learner.input(), &self.dataset, &window.micro_batches)?,
        };
        let progress = &mut self.progress;
        let learning_rate = self.schedule.learning_rate(progress.step)?;
        let metrics = &mut progress.since_log.metrics;
        let scale = progress.gradient_scale.as_mut();
        let step = self.learner.step(&batches, progress.step, learning_rate, metrics, scale)?;

        progress.step += 1;
        progress.learning_rate = Number(learning_rate);
        match step.gradient_norm {
            Some(norm) => progress.gradient_norm = Number(norm),
            None => self.observer.message(&format!(
                "A gradient of step {} overflowed `float16`: nothing was learned in this step, and gradients are scaled by half as much",
                progress.step
            )),
        }
        progress.total_loss.0 += step.loss;
        progress.since_log.loss.0 += step.loss;
        progress.since_log.steps += 1;
        let micro_batches =
            |windows: &[Window]| windows.iter().map(|window| window.micro_batches.len()).sum::<usize>();
        let before = micro_batches(windows.get(..index).unwrap_or_default()) as f64;
        let done = before + window.micro_batches.len() as f64 * (part + 1) as f64 / of_window as f64;
        progress.epochs_done = Number(progress.epoch as f64 + done / micro_batches(windows) as f64);
        progress.window += 1;
        let epoch_ended = number + 1 == windows.len() * of_window;
        if epoch_ended {
            progress.epoch += 1;
            progress.window = 0;
        }
        let tokens = batches.iter().map(|batch| batch.input_ids.len() as u64).sum();
        let rows = match self.rollouts {
            Some(_) => batches.iter().map(|batch| batch.lengths.len() as u64).sum(),
            None => window.micro_batches.iter().map(|rows| rows.len() as u64).sum(),
        };
        self.clock.step_done(began.elapsed(), rows, tokens);
        self.observer.step_done(self.progress.step, self.plan.max_steps);
        self.between_steps(epoch_ended)
    }
}

/// Checks settings that nothing else checks.
fn check(options: &TrainerOptions) -> Result<()> {
    let not_negative = [
        ("learning-rate", options.learning_rate),
        ("weight-decay", options.weight_decay),
        ("adam-epsilon", options.adam.epsilon),
        ("max-grad-norm", options.max_grad_norm),
        ("lorap-lr-ratio", options.lorap_lr_ratio.unwrap_or(0.0)),
    ];
    if let Some((flag, value)) =
        not_negative.into_iter().find(|(_, value)| !value.is_finite() || *value < 0.0)
    {
        return Err(Error::setting(flag, format!("is `{value}`, but must be 0 or more")));
    }
    let betas = [("adam-beta1", options.adam.beta1), ("adam-beta2", options.adam.beta2)];
    if let Some((flag, value)) = betas.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
        return Err(Error::setting(flag, format!("is `{value}`, but must be at least 0 and below 1")));
    }
    match (options.save, options.save_total_limit) {
        (When::Never, Some(_)) => {
            Err(Error::setting("save-total-limit", "says how many checkpoints to keep, but none are written"))
        }
        _ => Ok(()),
    }
}
