//! Models, callbacks and dataset adapters.

use std::sync::Arc;

use serde_json::Map;
use swift_runtime::{Action, Engine, EngineOptions, Error, Event, Kind, Limits, Outcome, Registry, RunState};

use crate::support::{Context, Guest, Run, error, load, message, ones};

/// A body of `load` for an architecture of two stages, width 2 and no parameters but its head, if `$length` is even; its
/// name is empty. An odd `$length` gives a head that is not there.
const LOAD: &str = "
    (local $a i32)
    (global.set $kept (i32.const 1))
    (local.set $a (i32.const 704))
    (memory.fill (local.get $a) (i32.const 0) (i32.const 120))
    (i64.store offset=16 (local.get $a) (i64.const 2))
    (i64.store offset=24 (local.get $a) (i64.const 4))
    (i32.store offset=32 (local.get $a) (i32.const 2))
    (i32.store offset=36 (local.get $a) (i32.const 832))
    (i32.store offset=40 (local.get $a) (i32.const 1))
    ;; The head's weight.
    (i32.store offset=60 (local.get $a) (i32.and (local.get $length) (i32.const 1)))
    ;; Its parameter: a name, a shape, a role and a stage.
    (memory.fill (i32.const 832) (i32.const 0) (i32.const 24))
    (i32.store (i32.const 840) (i32.const 864))
    (i32.store (i32.const 844) (i32.const 2))
    (i64.store (i32.const 864) (i64.const 4))
    (i64.store (i32.const 872) (i64.const 2))
    (local.get $a)";

/// Fails before `load`; stage 0 embeds, stage 1 gives its input times nine, and stage 2 crashes.
const FORWARD: &str = "
    (if (i32.eqz (global.get $kept)) (then unreachable))
    (if (i32.eq (local.get $stage) (i32.const 2)) (then unreachable))
    (if (local.get $stage)
      (then (call $context-linear (local.get $context) (i32.const 7) (i32.const 0) (i32.const 0) (local.get $input) (i32.const 256)))
      (else (call $context-embedding (local.get $context) (i32.const 0) (i32.const 256))))
    (call $ok (call $handle))";

#[test]
fn a_model_is_described_and_computed_stage_by_stage() {
    let plugin = load(&Guest::model(LOAD, FORWARD).encode()).unwrap();
    assert_eq!(plugin.kinds(), [Kind::Model]);
    let mut model = plugin.model(&Limits::default()).unwrap();
    assert!(model.supports("AnyForCausalLM", "four").unwrap());
    assert!(!model.supports("AnyForCausalLM", "fifth").unwrap());
    let architecture = model.load("{}").unwrap();
    assert_eq!((architecture.stages, architecture.hidden_size, architecture.vocab_size), (2, 2, 4));
    assert_eq!(architecture.parameters[0].shape, [4, 2]);
    let hidden = model.forward(0, None, Arc::new(Context)).unwrap();
    let hidden = model.forward(1, Some(&hidden), Arc::new(Context)).unwrap();
    assert_eq!(hidden.to_list().unwrap(), [9.0; 6]);
    assert_eq!(model.usage().operations, 1);
}

#[test]
fn standard_plugins_with_a_word_in_them_are_likelier_than_others() {
    let plain = Guest::model(LOAD, FORWARD).encode();
    // A custom section at the end: its size, the length of its name, the name, and what is in it.
    let with_word = [plain.as_slice(), &[0, 6, 1, b'n'], b"W0rd"].concat();
    let [plain, with_word] = [plain, with_word].map(|component| &*component.leak());
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let standard = [("a", plain), ("b", with_word), ("c", &[][..]), ("d", plain)];
    let registry = Registry::new(engine, Vec::from(standard).leak());
    assert_eq!(registry.likely(Kind::Model, "W0rd"), ["b", "a", "d"]);
    assert_eq!(registry.likely(Kind::Model, "Other"), ["a", "b", "d"]);
    assert!(registry.likely(Kind::Loss, "W0rd").is_empty());
}

#[test]
fn a_model_that_crashed_is_told_its_configuration_again() {
    let mut model = load(&Guest::model(LOAD, FORWARD).encode()).unwrap().model(&Limits::default()).unwrap();
    model.load("{}").unwrap();
    for _ in 0..2 {
        let input = ones(&[3, 2]);
        assert!(matches!(error(model.forward(2, Some(&input), Arc::new(Context))), Error::Crash { .. }));
        model.forward(1, Some(&input), Arc::new(Context)).unwrap();
    }
}

#[test]
fn an_architecture_that_does_not_hold_together_is_refused() {
    let mut model = load(&Guest::model(LOAD, FORWARD).encode()).unwrap().model(&Limits::default()).unwrap();
    let text = message(model.load("{ }"));
    assert!(text.ends_with("wrong result from `load`: its head uses parameter 1, and there are 1"), "{text}");
}

#[test]
fn a_stage_of_the_wrong_shape_is_refused() {
    let mut model = load(&Guest::model(LOAD, FORWARD).encode()).unwrap().model(&Limits::default()).unwrap();
    model.load("{}").unwrap();
    let text = message(model.forward(1, Some(&ones(&[3])), Arc::new(Context)));
    assert!(
        text.ends_with("wrong result from `forward`: stage 1 gave the shape [3] instead of [3, 2]"),
        "{text}"
    );
}

#[test]
fn a_callback_steers_the_run_and_keeps_state() {
    let plugin = load(&Guest::callback().encode()).unwrap();
    let mut callback = plugin.callback(&Map::new(), &Limits::default()).unwrap();
    let state = RunState {
        step: 3,
        max_steps: 9,
        epoch: 0.5,
        learning_rate: 1e-4,
        metrics: vec![("loss".into(), 2.0)],
    };
    assert_eq!(callback.on_event(Event::StepEnd, &state, Arc::new(Run)).unwrap(), []);
    let actions = callback.on_event(Event::Evaluate, &state, Arc::new(Run)).unwrap();
    assert_eq!(actions, [Action::Evaluate, Action::Stop("out of ideas".into())]);
    assert_eq!(callback.save_state().unwrap(), "the state");
    callback.restore_state("the state").unwrap();
    let text = message(callback.restore_state("odd"));
    assert_eq!(text, "The plugin `hostile` failed in `restore-state`: out of ideas");
    assert_eq!(callback.name(), "hostile");
}

#[test]
fn a_dataset_adapter_gives_as_many_outcomes_as_rows() {
    // Each call gives one outcome: that the row is skipped.
    let plugin = load(&Guest::dataset().encode()).unwrap();
    let mut dataset = plugin.dataset(&Limits::default()).unwrap();
    assert_eq!(dataset.matches(&["messages".into(), "id".into()]).unwrap(), 2);
    let outcomes = dataset.convert(&["{}".into()]).unwrap();
    assert_eq!(outcomes, [Outcome::Skipped("out of ideas".into())]);
    let text = message(dataset.convert(&["{}".into(), "{}".into()]));
    assert_eq!(text, "The plugin `hostile` gave a wrong result from `convert`: 1 outcomes for 2 rows");
    assert!(plugin.loss(&Map::new(), &Limits::default()).is_err());
}
