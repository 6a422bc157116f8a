//! Callbacks: what they remember goes through checkpoints.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use swift_runtime::{Action, CallbackPlugin, Event, Limits, RunState, RunView};
use swift_tensor::Tensor;

use crate::plugin;

fn early_stopping() -> CallbackPlugin {
    let arguments: Map<String, Value> = serde_json::from_value(json!({"patience": 2})).unwrap();
    plugin("early-stopping").callback(&arguments, &Limits::default()).unwrap()
}

/// A run without parameters.
struct NothingTrained;

impl RunView for NothingTrained {
    fn parameter_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn parameter(&self, _: &str) -> Option<Tensor> {
        None
    }
}

fn evaluated(callback: &mut CallbackPlugin, loss: f64) -> Vec<Action> {
    let metrics = vec![("eval_loss".to_owned(), loss)];
    let run = RunState { step: 1, max_steps: 9, epoch: 0.1, learning_rate: 1e-4, metrics };
    callback.on_event(Event::Evaluate, &run, Arc::new(NothingTrained)).unwrap()
}

#[test]
fn a_resumed_callback_goes_on_where_it_was() {
    let mut first = early_stopping();
    assert_eq!(evaluated(&mut first, 1.0), []);
    assert_eq!(evaluated(&mut first, 2.0), []);
    let state = first.save_state().unwrap();

    let mut resumed = early_stopping();
    resumed.restore_state(&state).unwrap();
    let stop = Action::Stop("`eval_loss` was not better than 1 in 2 evaluations".to_owned());
    assert_eq!(evaluated(&mut resumed, 2.0), [stop]);
}

#[test]
fn a_state_of_something_else_is_refused() {
    assert!(early_stopping().restore_state(r#"{"steps": "many"}"#).is_err());
}
