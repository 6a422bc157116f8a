//! What the host makes of a plugin written in Python. `SWIFT_SDK_PLUGINS` names the folder of `everything.wasm`, which
//! `python -m swift_plugin.build` makes of the file of that name in `sdk/python`.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

#[path = "../sdk/plugins.rs"]
mod plugins;
#[path = "../sdk/views.rs"]
mod views;

use std::sync::Arc;

use plugins::{arguments, compute, loss, plugin, values};
use serde_json::{Map, json};
use swift_runtime::{
    Action, Completion, Event, Input, Kind, Limits, Message, OptimizedParameter, Outcome, PieceContent,
    RenderOptions, RenderedTraining, Requirements, RunState,
};
use swift_tensor::{DType, from_list};
use views::{Batch, Context, Outputs, Run};

fn failure(mode: &str) -> String {
    let mut loss = loss("everything", &json!({ "mode": mode }));
    let first = compute(&mut loss).unwrap_err().to_string();
    // What the exception held on to does not disturb the next call.
    assert_eq!(compute(&mut loss).unwrap_err().to_string(), first);
    first
}

#[test]
fn a_plugin_describes_itself_and_imports_the_contract_and_wasi_alone() {
    let everything = plugin("everything");
    assert_eq!(everything.kinds(), Kind::all().collect::<Vec<_>>());
    let info = everything.info();
    assert_eq!((info.name.as_str(), info.version.as_str()), ("everything", "1.2.3"));
    assert_eq!(info.summary, "Is of every kind.");
    let shown: Vec<String> =
        info.parameters.iter().map(|parameter| format!("{}={}", parameter.name, parameter.default)).collect();
    assert_eq!(shown, ["mode=\"mean\"", "power=null"]);
    for import in everything.imports() {
        let is_known =
            import.starts_with("swift:plugin/") || import.starts_with("wasi:") && import.contains("@0.2.");
        assert!(is_known, "{import}");
    }
}

#[test]
fn a_loss_has_requirements_a_value_metrics_and_a_gradient() {
    let mut loss = loss("everything", &json!({}));
    let requirements = Requirements {
        input: Input::Groups,
        reference: true,
        score_head: Some(3),
        ..Requirements::default()
    };
    assert_eq!(loss.requirements(), requirements);
    let report = compute(&mut loss).unwrap();
    assert_eq!(values(&report.loss), [-2.0]);
    assert!(report.loss.requires_grad());
    let shown: Vec<_> =
        report.metrics.iter().map(|metric| (metric.name.as_str(), values(&metric.values))).collect();
    let positive = vec![1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    assert_eq!(shown, [("positive", positive), ("logps", vec![-1.0, -2.0, -3.0])]);
    assert_eq!(values(report.metrics[1].weights.as_ref().unwrap()), [1.0, 0.5, 0.0]);
    assert_eq!(loss.usage().left_handles, 0);
}

#[test]
fn handles_are_dropped_while_a_call_goes_on() {
    let mut loss = loss("everything", &json!({ "mode": "loop" }));
    assert_eq!(values(&compute(&mut loss).unwrap().loss), [998.0]);
    assert_eq!(loss.usage().left_handles, 0);
}

#[test]
fn a_tensor_that_the_plugin_keeps_does_not_disturb_the_next_call() {
    let mut loss = loss("everything", &json!({ "mode": "kept" }));
    for _ in 0..3 {
        let report = compute(&mut loss).unwrap();
        assert_eq!((values(&report.loss), values(&report.metrics[0].values)), (vec![-6.0], vec![-6.0]));
    }
}

#[test]
fn an_error_names_the_line_of_the_plugin() {
    let shape = failure("shape");
    assert!(shape.contains("shape mismatch in `add`") && shape.contains(", at everything.py:"), "{shape}");
    let crash = failure("crash");
    assert!(crash.contains("KeyError: 'missing', at everything.py:"), "{crash}");
    let error = failure("error");
    assert!(error.contains("this is not to be had, at everything.py:"), "{error}");
    let bound = plugin("everything").loss(&arguments(&json!({ "mode": "median" })), &Limits::default());
    let bound = bound.map(drop).unwrap_err().to_string();
    assert!(bound.contains(r#"parameter `mode` is "median", and must be one of "mean", "loop""#), "{bound}");
}

#[test]
fn a_callback_acts_and_its_memory_is_kept_in_checkpoints() {
    let everything = plugin("everything");
    let mut callback = everything.callback(&Map::new(), &Limits::default()).unwrap();
    let state = RunState {
        step: 4,
        max_steps: 8,
        epoch: 0.5,
        learning_rate: 0.1,
        metrics: vec![("loss".into(), 0.5)],
    };
    let actions = callback.on_event(Event::StepEnd, &state, Arc::new(Run)).unwrap();
    let expected = [
        Action::Save,
        Action::Evaluate,
        Action::LogMetric("weight".into(), 3.0),
        Action::Stop("step 4".into()),
    ];
    assert_eq!(actions, expected);
    let saved = callback.save_state().unwrap();
    assert_eq!(saved, r#"{"events": ["STEP_END"], "seen": 0.0}"#);
    let mut resumed = everything.callback(&Map::new(), &Limits::default()).unwrap();
    assert_eq!(resumed.save_state().unwrap(), r#"{"events": [], "seen": 0.0}"#);
    resumed.restore_state(&saved).unwrap();
    assert_eq!(resumed.save_state().unwrap(), saved);
}

#[test]
fn rows_become_samples_or_are_skipped_for_a_reason() {
    let mut dataset = plugin("everything").dataset(&Limits::default()).unwrap();
    assert_eq!(dataset.matches(&["q".into()]).unwrap(), 7);
    let rows = [r#"{"q": "1+1?", "a": "2"}"#, r#"{"q": null}"#, r#"{"q": "?"}"#].map(String::from);
    let outcomes = dataset.convert(&rows).unwrap();
    let Outcome::Sample(sample) = &outcomes[0] else { panic!("it was skipped") };
    assert_eq!((sample.messages[1].content.as_str(), sample.messages[1].loss_scale), ("2", Some(0.5)));
    assert_eq!(sample.rejected.as_ref().unwrap().len(), 1);
    assert_eq!(sample.columns, [("margin".to_owned(), "2".to_owned())]);
    let reasons: Vec<String> = outcomes[1..]
        .iter()
        .map(|outcome| match outcome {
            Outcome::Skipped(reason) => reason.clone(),
            Outcome::Sample(_) => String::new(),
        })
        .collect();
    assert_eq!(reasons, ["the question is missing", "KeyError: 'a'"]);
}

#[test]
fn an_error_where_none_is_foreseen_crashes_with_its_words_and_the_plugin_starts_anew() {
    let mut dataset = plugin("everything").dataset(&Limits::default()).unwrap();
    let crash = dataset.matches(&[]).unwrap_err().to_string();
    assert!(crash.contains("there are no columns, at everything.py:"), "{crash}");
    assert_eq!(dataset.matches(&["q".into()]).unwrap(), 7);
}

#[test]
fn a_metric_forgets_what_it_has_told() {
    let mut metric = plugin("everything").metric(&Map::new(), &Limits::default()).unwrap();
    metric.observe(Arc::new(Batch), Arc::new(Outputs)).unwrap();
    metric.observe(Arc::new(Batch), Arc::new(Outputs)).unwrap();
    assert_eq!(metric.finish().unwrap(), [("seen".to_owned(), -12.0)]);
    assert_eq!(metric.finish().unwrap(), [("seen".to_owned(), 0.0)]);
}

#[test]
fn an_optimiser_may_give_back_what_it_was_lent_and_the_same_tensor_twice() {
    let mut optimizer = plugin("everything").optimizer(&Map::new(), &Limits::default()).unwrap();
    let tensor = |values: [f64; 2]| from_list(&values, &[2], DType::F32).unwrap();
    let parameter = |name: &str| OptimizedParameter { name: name.into(), shape: vec![2], weight_decay: 0.5 };
    let slots = optimizer.slots(&parameter("weight")).unwrap();
    let slots: Vec<_> = slots.into_iter().map(|slot| (slot.name, slot.shape)).collect();
    assert_eq!(slots, [("momentum".to_owned(), vec![2]), ("same".to_owned(), vec![2])]);
    for (name, value, momentum, same) in
        [("weight", [0.75, 1.75], [2.5, 2.5], [2.5, 2.5]), ("frozen", [2.0, 4.0], [2.0, 2.0], [3.0, 3.0])]
    {
        let slots = vec![tensor([1.0, 1.0]), tensor([3.0, 3.0])];
        let (new, slots) = optimizer
            .update(&parameter(name), &tensor([2.0, 4.0]), &tensor([2.0, 2.0]), &slots, 1, 0.1)
            .unwrap();
        assert_eq!(values(&new), value, "{name}");
        assert_eq!((values(&slots[0]), values(&slots[1])), (momentum.to_vec(), same.to_vec()), "{name}");
    }
}

#[test]
fn schedules_rewards_templates_and_loss_scales_give_what_they_should() {
    let (everything, limits) = (plugin("everything"), Limits::default());
    assert_eq!(everything.schedule(&Map::new(), &limits).unwrap().factor(1, 4).unwrap(), 0.75);
    let completion = |text: &str, finished| Completion {
        messages_json: r#"[{"role": "user", "content": "1+1?"}]"#.into(),
        text: text.into(),
        token_ids: vec![1, 2],
        finished,
        columns: vec![("solution".into(), r#""2""#.into())],
    };
    let mut reward = everything.reward(&Map::new(), &limits).unwrap();
    let scores =
        reward.score(&[completion("2", true), completion("3", true), completion("2", false)]).unwrap();
    assert_eq!(scores, [Some(2.0), Some(1.0), None]);
    let mut scale = everything.loss_scale(&Map::new(), &limits).unwrap();
    assert_eq!(scale.weigh("abc", Some("?")).unwrap(), [("a".to_owned(), 1.0), ("bc".to_owned(), 0.5)]);
}

#[test]
fn a_template_gives_pieces_or_a_reason() {
    let mut template = plugin("everything").template(&Limits::default()).unwrap();
    assert_eq!(template.names().unwrap(), ["plain"]);
    let said = [Message { role: "user".into(), content: "1+1?".into(), train: None, loss_scale: None }];
    let options = RenderOptions {
        training: RenderedTraining::LastRound,
        system: None,
        enable_thinking: Some(true),
        preserve_thinking: None,
        add_non_thinking_prefix: false,
        response_prefix: None,
        agent_template: None,
        date: "2025-03-14".into(),
        special_tokens: vec![("bos_token".into(), "<s>".into())],
    };
    let rendered = template.render("plain", &said, None, &options).unwrap().unwrap();
    assert!(matches!(rendered.pieces[0].content, PieceContent::TokenId(7)));
    assert!(matches!(&rendered.pieces[1].content, PieceContent::Text(text) if text == "1+1?"));
    assert_eq!(
        (rendered.pieces[1].weight, rendered.pieces[1].answer_to.as_deref()),
        (1.0, Some("LAST_ROUND"))
    );
    assert!(matches!(&rendered.suffix[..], [PieceContent::Text(text)] if text == "\n"));
    let reason = template.render("plain", &said, Some("[{}]"), &options).unwrap().unwrap_err();
    assert_eq!(reason, "tools are not for this template");
}

#[test]
fn a_model_is_loaded_and_computed_stage_by_stage() {
    let mut model = plugin("everything").model(&Limits::default()).unwrap();
    assert!(model.supports("Tiny", "tiny").unwrap() && !model.supports("Tiny", "large").unwrap());
    let architecture = model.load(r#"{"hidden_size": 2}"#).unwrap();
    assert_eq!((architecture.stages, architecture.parameters[0].shape.as_slice()), (2, &[4, 2][..]));
    assert_eq!(architecture.rotary_tables[0].inverse_frequencies, [1.0]);
    let embedded = model.forward(0, None, Arc::new(Context)).unwrap();
    let hidden = model.forward(1, Some(&embedded), Arc::new(Context)).unwrap();
    assert_eq!(values(&hidden), [1.0; 6]);
}
