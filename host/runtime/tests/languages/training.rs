//! Plugins that compute and steer: losses, models, metrics, callbacks, schedules and optimisers.

use std::sync::Arc;

use serde_json::{Map, json};
use swift_runtime::{
    Action, Event, Generation, Input, Kind, Limits, LossPlugin, OptimizedParameter, Requirements, Role,
    RunState,
};
use swift_tensor::{DType, from_list};

use crate::language::{language, plugin};
use crate::plugins::{self, arguments, compute, values};
use crate::views::{Batch, Context, Outputs, Run};

fn loss(mode: Option<&str>) -> LossPlugin {
    let given = mode.map_or_else(|| json!({}), |mode| json!({ "mode": mode }));
    plugins::loss(language().component(Kind::Loss), &given)
}

fn failure(mode: &str) -> String {
    let mut loss = loss(Some(mode));
    let error = compute(&mut loss).unwrap_err();
    // An interpreter that looks for sources of a traceback, or for variables when it starts, wants no grants for that.
    assert!(!error.hint().unwrap_or_default().contains("--grant"), "{:?}", error.hint());
    let first = error.to_string();
    // What the exception held on to does not disturb the next call.
    assert_eq!(compute(&mut loss).unwrap_err().to_string(), first);
    first
}

#[test]
fn a_plugin_describes_itself_and_imports_the_contract_and_wasi_alone() {
    let language = language();
    let callback = plugin(Kind::Callback);
    assert_eq!(callback.kinds(), language.kinds_beside(Kind::Callback));
    let info = callback.info();
    assert_eq!((info.name.as_str(), info.version.as_str()), (language.component(Kind::Callback), "1.2.3"));
    let shown: Vec<String> =
        info.parameters.iter().map(|parameter| format!("{}={}", parameter.name, parameter.default)).collect();
    assert_eq!(shown, language.parameters);
    for kind in Kind::all() {
        for import in plugin(kind).imports() {
            let is_known = import.starts_with("swift:plugin/")
                || import.starts_with("wasi:") && import.contains("@0.2.");
            assert!(is_known, "{import}");
        }
    }
}

#[test]
fn a_loss_has_requirements_a_value_metrics_and_a_gradient() {
    let mut loss = loss(None);
    let requirements = Requirements {
        input: Input::Groups,
        reference: true,
        score_head: Some(3),
        ..Requirements::default()
    };
    assert_eq!(loss.requirements(), requirements);
    for _ in 0..3 {
        let report = compute(&mut loss).unwrap();
        assert_eq!(values(&report.loss), [-2.0]);
        assert!(report.loss.requires_grad());
        let shown: Vec<_> =
            report.metrics.iter().map(|metric| (metric.name.as_str(), values(&metric.values))).collect();
        let positive = vec![1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        assert_eq!(shown, [("positive", positive), ("logps", vec![-1.0, -2.0, -3.0])]);
        assert_eq!(values(report.metrics[1].weights.as_ref().unwrap()), [1.0, 0.5, 0.0]);
        assert_eq!(loss.usage().left_handles == 0, language().releases);
    }
}

#[test]
fn a_loop_of_operations_is_computed_and_handles_are_dropped_in_it_if_the_language_can() {
    let mut loss = loss(Some("loop"));
    assert_eq!(values(&compute(&mut loss).unwrap().loss), [998.0]);
    assert_eq!(loss.usage().left_handles == 0, language().releases);
}

#[test]
fn a_tensor_that_the_plugin_keeps_does_not_disturb_the_next_call() {
    let mut loss = loss(Some("kept"));
    for _ in 0..3 {
        let report = compute(&mut loss).unwrap();
        assert_eq!((values(&report.loss), values(&report.metrics[0].values)), (vec![-6.0], vec![-6.0]));
    }
}

#[test]
fn an_error_names_the_line_of_the_plugin_and_the_next_call_goes_on() {
    let language = language();
    let at = |line: u32| format!(", at {}:{line}", language.source(Kind::Loss));
    let [shape_line, crash_line, error_line] = language.lines.map(at);
    let shape = failure("shape");
    assert!(shape.contains("shape mismatch in `add`") && shape.contains(&shape_line), "{shape}");
    let crash = failure("crash");
    assert!(crash.contains(language.crashes[0]) && crash.contains(&crash_line), "{crash}");
    let error = failure("error");
    assert!(error.contains(&format!("this is not to be had{error_line}")), "{error}");
    let bound = plugin(Kind::Loss).loss(&arguments(&json!({ "mode": "odd" })), &Limits::default());
    let bound = bound.map(drop).unwrap_err().to_string();
    let start = r#"parameter `mode` is "odd", and must be one of ""#;
    assert!(
        bound.contains(start) && bound.contains(r#""loop", "shape", "crash", "error", "kept""#),
        "{bound}"
    );
}

#[test]
fn a_callback_acts_and_its_memory_is_kept_in_checkpoints() {
    let (language, halting) = (language(), plugin(Kind::Callback));
    let given = arguments(&language.callback.parse().unwrap());
    let mut callback = halting.callback(&given, &Limits::default()).unwrap();
    let metrics = vec![("loss".into(), 0.5)];
    let state = RunState { step: 4, max_steps: 8, epoch: 0.5, learning_rate: 0.1, metrics };
    let actions = callback.on_event(Event::StepEnd, &state, Arc::new(Run)).unwrap();
    let expected = [
        Action::Save,
        Action::Evaluate,
        Action::LogMetric("weight".into(), 3.0),
        Action::Stop("step 4 of 8".into()),
    ];
    assert_eq!(actions, expected);
    let saved = callback.save_state().unwrap();
    let mut resumed = halting.callback(&Map::new(), &Limits::default()).unwrap();
    assert_eq!([resumed.save_state().unwrap(), saved.clone()], language.states);
    resumed.restore_state(&saved).unwrap();
    assert_eq!(resumed.save_state().unwrap(), saved);
}

#[test]
fn a_metric_forgets_what_it_has_told() {
    let mut metric = plugin(Kind::Metric).metric(&Map::new(), &Limits::default()).unwrap();
    for _ in 0..2 {
        metric.observe(Arc::new(Batch::default()), Arc::new(Outputs::default())).unwrap();
    }
    assert_eq!(metric.finish().unwrap(), [("seen".to_owned(), -12.0)]);
    assert_eq!(metric.finish().unwrap(), [("seen".to_owned(), 0.0)]);
}

#[test]
fn a_schedule_gives_factors() {
    let mut schedule = plugin(Kind::Schedule).schedule(&Map::new(), &Limits::default()).unwrap();
    assert_eq!(schedule.factor(1, 4).unwrap(), 0.75);
}

#[test]
fn an_optimiser_may_give_back_what_it_was_lent_and_the_same_tensor_twice() {
    let mut optimizer = plugin(Kind::Optimizer).optimizer(&Map::new(), &Limits::default()).unwrap();
    let tensor = |values: [f64; 2]| from_list(&values, &[2], DType::F32).unwrap();
    let parameter = |name: &str| OptimizedParameter { name: name.into(), shape: vec![2], weight_decay: 0.5 };
    let slots = optimizer.slots(&parameter("weight")).unwrap();
    let slots: Vec<_> = slots.into_iter().map(|slot| (slot.name, slot.shape)).collect();
    assert_eq!(slots, [("momentum".to_owned(), vec![2]), ("same".to_owned(), vec![2])]);
    for (name, value, momentum, same) in
        [("weight", [0.5, 1.5], [2.5, 2.5], [2.5, 2.5]), ("frozen", [2.0, 4.0], [2.0, 2.0], [3.0, 3.0])]
    {
        let slots = vec![tensor([1.0, 1.0]), tensor([3.0, 3.0])];
        let (new, slots) = optimizer
            .update(&parameter(name), &tensor([2.0, 4.0]), &tensor([2.0, 2.0]), &slots, 2, 0.1)
            .unwrap();
        assert_eq!(values(&new), value, "{name}");
        assert_eq!((values(&slots[0]), values(&slots[1])), (momentum.to_vec(), same.to_vec()), "{name}");
    }
}

#[test]
fn a_model_is_loaded_and_computed_stage_by_stage() {
    let mut model = plugin(Kind::Model).model(&Limits::default()).unwrap();
    assert!(model.supports("Tiny", "tiny").unwrap() && !model.supports("Tiny", "large").unwrap());
    let architecture = model.load(r#"{"hidden_size": 2}"#).unwrap();
    let parameter = &architecture.parameters[0];
    assert_eq!((architecture.stages, parameter.shape.as_slice()), (language().stages, &[4, 2][..]));
    assert_eq!(parameter.role, Role::Embedding);
    assert_eq!(architecture.rotary_tables[0].inverse_frequencies, [1.0]);
    assert_eq!((architecture.hidden_size, architecture.head.bias), (2, None));
    assert_eq!((architecture.head.soft_cap, &*architecture.untrained), (Some(30.0), &[0][..]));
    let mut hidden = model.forward(0, None, Arc::new(Context)).unwrap();
    // A stage may give back what it was lent.
    for stage in 1..architecture.stages {
        hidden = model.forward(stage, Some(&hidden), Arc::new(Context)).unwrap();
        assert_eq!(values(&hidden), [1.0; 6], "{stage}");
    }
}

#[test]
fn a_sampler_sees_the_answer_and_finds_what_it_remembered() {
    let mut sampler = plugin(Kind::Sampler).sampler(&Map::new(), &Limits::default()).unwrap();
    let logits = [0.5, f32::NEG_INFINITY, -1.0];
    // Nothing is said yet: it gives back what it was lent.
    let first = Generation { seed: 98, ..Generation::default() };
    let adjusted = sampler.adjust(&logits, first).unwrap();
    assert_eq!(adjusted.logits, logits);
    let second = Generation { prompt: vec![1, 2], answer: vec![3], seed: 5, memory: adjusted.memory };
    let adjusted = sampler.adjust(&logits, second.clone()).unwrap();
    assert_eq!(adjusted.logits, [133.5, f32::NEG_INFINITY, 132.0]);
    assert_eq!(adjusted.memory.unwrap().replace(' ', ""), "[1,5]");
    let text = sampler.adjust(&logits, Generation { memory: None, ..second }).unwrap_err().to_string();
    assert!(text.contains("failed in `adjust`: what was remembered is not as long as the answer"), "{text}");
}
