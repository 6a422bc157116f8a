use std::sync::{Arc, Mutex};

use swift_runtime::{Action, Event, RunState, RunView};
use swift_train::{Callback, Ending, Result, When};

use crate::losses::NegativeLogLikelihood;
use crate::support::{Setup, steps};

type Events = Arc<Mutex<Vec<(Event, u64)>>>;
type Decide = Box<dyn FnMut(Event, &RunState) -> Vec<Action> + Send>;

/// Remembers events, and does what the test says.
struct Recorder {
    name: &'static str,
    events: Events,
    decide: Decide,
}

impl Callback for Recorder {
    fn name(&self) -> &str {
        self.name
    }

    fn on_event(&mut self, event: Event, state: &RunState, _run: Arc<dyn RunView>) -> Result<Vec<Action>> {
        self.events.lock().unwrap().push((event, state.step));
        Ok((self.decide)(event, state))
    }

    fn save_state(&mut self) -> Result<String> {
        Ok(String::new())
    }

    fn restore_state(&mut self, _state: &str) -> Result<()> {
        Ok(())
    }
}

fn recorder(
    name: &'static str,
    decide: impl FnMut(Event, &RunState) -> Vec<Action> + Send + 'static,
) -> (Box<dyn Callback>, Events) {
    let events = Events::default();
    (Box::new(Recorder { name, events: Arc::clone(&events), decide: Box::new(decide) }), events)
}

#[test]
fn events_come_in_a_fixed_order() {
    let mut setup = Setup::new();
    setup.validate = true;
    setup.options.max_steps = Some(steps(4));
    setup.options.logging_steps = steps(3);
    setup.options.save = When::Steps(steps(2));
    setup.options.evaluate = When::Epoch;
    let (callback, events) = recorder("listener", |_, _| Vec::new());
    setup.run_with(NegativeLogLikelihood, vec![callback], None).0.unwrap();
    let expected = [
        (Event::TrainBegin, 0),
        (Event::StepEnd, 1),
        (Event::Log, 1),
        (Event::StepEnd, 2),
        (Event::Save, 2),
        (Event::StepEnd, 3),
        (Event::Log, 3),
        (Event::StepEnd, 4),
        (Event::EpochEnd, 4),
        (Event::Log, 4),
        (Event::Evaluate, 4),
        (Event::Save, 4),
        (Event::TrainEnd, 4),
    ];
    assert_eq!(*events.lock().unwrap(), expected);
}

#[test]
fn a_callback_ends_a_run_in_good_order() {
    let mut setup = Setup::new();
    setup.validate = true;
    setup.options.save = When::Steps(steps(100));
    let (stopper, _) = recorder("stopper", |event, state| match event {
        Event::StepEnd if state.step == 3 => vec![Action::Evaluate],
        Event::Evaluate => {
            assert!(state.metrics.iter().any(|(name, loss)| name == "eval_loss" && *loss > 0.0));
            vec![Action::Stop("it is good enough".into())]
        }
        _ => Vec::new(),
    });
    let summary = setup.run_with(NegativeLogLikelihood, vec![stopper], None).0.unwrap();
    let reason = "it is good enough".to_owned();
    assert_eq!(summary.ending, Ending::Stopped { by: "stopper".into(), reason });
    assert_eq!(summary.step, 3);
    assert_eq!(summary.last_checkpoint, Some(setup.run.join("checkpoint-3")));
    assert!(setup.log().last().unwrap().contains_key("log_history"));
}

#[test]
fn numbers_of_callbacks_join_the_next_line_and_replace_none() {
    let setup = Setup::new();
    let (first, _) = recorder("first", |event, state| match event {
        Event::StepEnd if state.step == 2 => {
            vec![Action::LogMetric("weight".into(), 0.1 + 0.2), Action::LogMetric("loss".into(), -1.0)]
        }
        _ => Vec::new(),
    });
    let (second, _) = recorder("second", |event, _| match event {
        Event::Log => vec![Action::LogMetric("later".into(), 1.0)],
        _ => Vec::new(),
    });
    let (summary, heard) = setup.run_with(NegativeLogLikelihood, vec![first, second], None);
    let history = summary.unwrap().history;
    assert_eq!(history[1]["weight"], 0.1 + 0.2);
    assert!(history[1]["loss"].as_f64().unwrap() > 0.0);
    assert!(heard.iter().any(|text| text.contains("A second number `loss`")), "{heard:?}");
    assert!(!history[0].contains_key("later") && history[1].contains_key("later"));
}

#[test]
fn what_cannot_be_done_for_a_callback_is_told() {
    let setup = Setup::new();
    let (eager, _) = recorder("eager", |event, _| match event {
        Event::TrainBegin => vec![Action::Evaluate],
        Event::TrainEnd => vec![Action::Save],
        _ => Vec::new(),
    });
    let (_, heard) = setup.run_with(NegativeLogLikelihood, vec![eager], None);
    assert!(
        heard
            .contains(&"The callback `eager` wants an evaluation, but there is no validation set".to_owned())
    );
    assert!(heard.iter().any(|text| text.contains("after the last step")), "{heard:?}");
}
