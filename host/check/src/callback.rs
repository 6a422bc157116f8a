//! Callbacks.

use std::sync::Arc;

use swift_runtime::{Action, CallbackPlugin, Event, Result, RunState, RunView};
use swift_tensor::{DType, Tensor, uniform};

use crate::bench::Bench;

/// Steps of the run that a callback is told of.
const STEPS: u64 = 8;

/// A run that trains one parameter.
struct Run;

impl RunView for Run {
    fn parameter_names(&self) -> Vec<String> {
        vec!["model.weight".into()]
    }

    fn parameter(&self, name: &str) -> Option<Tensor> {
        uniform(-1.0, 1.0, &[2, 3], DType::F32, 1).ok().filter(|_| name == "model.weight")
    }
}

/// The events of one step.
type Step = Vec<(Event, RunState)>;

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (plugin, options) = (bench.plugin.clone(), bench.options);
    let start = || plugin.callback(&options.arguments, &options.limits);
    let steps: Vec<Step> = (1..=STEPS).map(step).collect();
    let (before, after) = steps.split_at(steps.len() / 2);

    let mut whole = start()?;
    let mut actions = tell(&mut whole, before)?;
    let state = whole.save_state()?;
    let rest = tell(&mut whole, after)?;
    let mut resumed = start()?;
    resumed.restore_state(&state)?;
    let found = tell(&mut resumed, after)? == rest;
    actions.extend(rest);
    let mut second = start()?;
    let same = tell(&mut second, &steps)? == actions;

    bench.passed(format!("Answers the events of {STEPS} steps with {} actions", actions.len()));
    let wild = actions.iter().find_map(|action| match action {
        Action::LogMetric(name, number) if !number.is_finite() => Some(name.as_str()),
        _ => None,
    });
    if let Some(name) = wild {
        bench.failed(
            format!("The metric `{name}` is not finite"),
            "leave out what can't be computed".to_owned(),
        );
    }
    bench.expect_same(same);
    bench.expect(
        found,
        "What is remembered is found again by `restore-state`",
        "A callback that goes on from its saved state acts otherwise than one that did not stop",
        "`save-state` must give, and `restore-state` take, everything that a later call depends on",
    );
    let mut timed = start()?;
    let mut events = steps.iter().flatten().cycle();
    bench.measure(|| match events.next() {
        Some((event, state)) => timed.on_event(*event, state, Arc::new(Run)).map(drop),
        None => Ok(()),
    })
}

/// A step with everything that may happen in one. The loss falls and then rises.
fn step(number: u64) -> Step {
    let distance = number as f64 - 3.0;
    let loss = 1.0 + 0.1 * distance * distance;
    let metrics = ["loss", "eval_loss", "grad_norm"].map(|name| (name.to_owned(), loss));
    let state = RunState {
        step: number,
        max_steps: STEPS,
        epoch: number as f64 / STEPS as f64,
        learning_rate: 1e-4,
        metrics: metrics.into(),
    };
    let first = (number == 1).then_some(Event::TrainBegin);
    let last = (number == STEPS).then_some([Event::EpochEnd, Event::TrainEnd]);
    let each = [Event::StepEnd, Event::Log, Event::Evaluate, Event::Save];
    let events = first.into_iter().chain(each).chain(last.into_iter().flatten());
    events.map(|event| (event, state.clone())).collect()
}

fn tell(callback: &mut CallbackPlugin, steps: &[Step]) -> Result<Vec<Action>> {
    let mut actions = Vec::new();
    for (event, state) in steps.iter().flatten() {
        actions.extend(callback.on_event(*event, state, Arc::new(Run))?);
    }
    Ok(actions)
}
