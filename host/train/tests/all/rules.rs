//! Metrics, schedules and update rules that come from outside.

use std::fs;
use std::sync::Arc;

use swift_data::Example;
use swift_runtime::{BatchView, OptimizedParameter, OptimizerSlot, OutputsView};
use swift_tensor::{DType, Tensor};
use swift_train::{Metric, Result, ScheduleRule, Training, UpdateRule, When};

use crate::losses::NegativeLogLikelihood;
use crate::support::{Setup, steps};

/// Stochastic gradient descent with momentum, as PyTorch has it: `m = momentum * m + g`, `p = p - rate * m`.
struct Momentum(f64);

impl UpdateRule for Momentum {
    fn slots(&mut self, parameter: &OptimizedParameter) -> Result<Vec<OptimizerSlot>> {
        Ok(vec![OptimizerSlot { name: "momentum".into(), shape: parameter.shape.clone() }])
    }

    fn update(
        &mut self,
        _parameter: &OptimizedParameter,
        value: &Tensor,
        gradient: &Tensor,
        slots: &[Tensor],
        _number: u64,
        learning_rate: f64,
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let momentum = slots[0].scale(self.0)?.add(gradient)?;
        Ok((value.sub(&momentum.scale(learning_rate)?)?, vec![momentum]))
    }
}

/// Falls by a tenth with every step.
struct Falls;

impl ScheduleRule for Falls {
    fn factor(&mut self, step: u64, max_steps: u64) -> Result<f64> {
        assert_eq!(max_steps, 4);
        Ok(1.0 - step as f64 / 10.0)
    }
}

/// Counts labels and sums their log-probabilities.
#[derive(Default)]
struct Counts(f64, f64);

impl Metric for Counts {
    fn observe(&mut self, batch: Arc<dyn BatchView>, policy: Arc<dyn OutputsView>) -> Result<()> {
        self.0 += batch.label_mask().to_list()?.iter().sum::<f64>();
        self.1 += policy.token_logps()?.to_list()?.iter().sum::<f64>();
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<(String, f64)>> {
        let Self(labels, sum) = std::mem::take(self);
        Ok(vec![("labels".into(), labels), ("mean_logp".into(), sum / labels)])
    }
}

fn run(setup: &Setup, resume_from: Option<&std::path::Path>, change: impl FnOnce(&mut Training)) {
    let mut training = setup.training(NegativeLogLikelihood, Vec::new(), resume_from);
    change(&mut training);
    training.run(&mut ()).unwrap();
}

fn column(setup: &Setup, name: &str) -> Vec<f64> {
    setup.log().iter().filter_map(|line| line.get(name)?.as_f64()).collect()
}

#[test]
fn an_update_rule_takes_the_place_of_adamw() {
    let mut setup = Setup::new();
    setup.options.weight_decay = 0.0;
    setup.options.learning_rate = 0.5;
    let momentum = |training: &mut Training| training.optimizer = Some(Box::new(Momentum(0.9)));
    run(&setup, None, momentum);
    let losses = column(&setup, "loss");
    assert!(losses[5] < losses[0] - 0.1, "{losses:?}");
}

#[test]
fn what_an_update_rule_keeps_goes_through_checkpoints() {
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let mut setup = Setup::new();
        setup.dtype = dtype;
        setup.options.save = When::Steps(steps(3));
        let momentum = |training: &mut Training| training.optimizer = Some(Box::new(Momentum(0.9)));
        run(&setup, None, momentum);
        let files = ["model.safetensors", "optimizer.safetensors"];
        let content =
            |setup: &Setup| files.map(|file| fs::read(setup.run.join("checkpoint-6").join(file)).unwrap());
        let whole = content(&setup);
        run(&setup, Some(&setup.run.join("checkpoint-3")), momentum);
        assert!(content(&setup) == whole, "{dtype:?}");
    }
}

#[test]
fn a_schedule_rule_begins_after_the_warm_up() {
    let mut setup = Setup::new();
    setup.options.schedule.warmup = swift_train::Warmup::Steps(2);
    run(&setup, None, |training| training.schedule = Some(Box::new(Falls)));
    // As it is logged: the rate of the step to come.
    let expected = [0.5, 1.0, 0.9, 0.8, 0.7, 0.6].map(|factor| factor * 1e-2);
    let rates = column(&setup, "learning_rate");
    assert!(rates.iter().zip(expected).all(|(rate, expected)| (rate - expected).abs() < 1e-15), "{rates:?}");
}

#[test]
fn a_metric_sees_the_whole_validation_set_each_time_anew() {
    let mut setup = Setup::new();
    setup.validate = true;
    setup.options.evaluate = When::Steps(steps(3));
    run(&setup, None, |training| training.metrics.push(Box::new(Counts::default())));
    let validation = setup.training(NegativeLogLikelihood, Vec::new(), None).validation.unwrap();
    let examples = (0..validation.len()).map(|index| validation.example(index).unwrap());
    let labels = |example: Example| example.sequences[0].label_count() as f64;
    let labels: f64 = examples.map(labels).sum();
    assert_eq!(column(&setup, "eval_labels"), [labels, labels]);
    for (logp, loss) in column(&setup, "eval_mean_logp").iter().zip(column(&setup, "eval_loss")) {
        assert!((logp + loss).abs() < 1e-6, "{logp} {loss}");
    }
}
