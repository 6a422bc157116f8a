//! All other kinds, built without an SDK on the bare bindings of contract 0.1.0.

use std::sync::Arc;

use serde_json::json;
use swift_runtime::{
    Completion, Kind, Limits, Message, OptimizedParameter, Outcome, PieceContent, RenderOptions,
    RenderedTraining, Role,
};
use swift_tensor::Tensor;

use crate::frozen::{arguments, assert_near, message, plugin, vector};
use crate::views::{Batch, Context, LOGPS, Outputs, WEIGHTS};

fn limits() -> Limits {
    Limits::default()
}

fn none() -> serde_json::Map<String, serde_json::Value> {
    serde_json::Map::new()
}

fn said(role: &str, content: &str, train: Option<bool>, loss_scale: Option<f64>) -> Message {
    Message { role: role.into(), content: content.into(), train, loss_scale }
}

#[test]
fn it_is_of_eight_kinds_and_is_configured() {
    let plugin = plugin("kinds");
    let kinds = [
        Kind::Model,
        Kind::Dataset,
        Kind::Metric,
        Kind::Schedule,
        Kind::Optimizer,
        Kind::Reward,
        Kind::Template,
        Kind::LossScale,
    ];
    assert_eq!(plugin.kinds().len(), kinds.len());
    assert!(kinds.iter().all(|kind| plugin.kinds().contains(kind)), "{:?}", plugin.kinds());
    let forbidden = arguments(json!({"text": "forbidden"}));
    let text = message(plugin.schedule(&forbidden, &limits()).and_then(|mut schedule| schedule.factor(0, 1)));
    assert_eq!(text, "The plugin `kinds` failed in `configure`: this is forbidden");
}

#[test]
fn the_model_describes_itself_and_computes_its_stages() {
    let mut model = plugin("kinds").model(&limits()).unwrap();
    assert!(model.supports("TinyForCausalLM", "tiny").unwrap());
    assert!(!model.supports("TinyForCausalLM", "large").unwrap());
    let architecture = model.load("{}").unwrap();
    let parameters: Vec<_> = architecture
        .parameters
        .iter()
        .map(|parameter| (parameter.name.as_str(), parameter.role, parameter.stage, parameter.shape.len()))
        .collect();
    let expected = [
        ("embed", Role::Embedding, 0, 2),
        ("column", Role::Column, 1, 2),
        ("row", Role::Row, 1, 2),
        ("head", Role::Head, 1, 2),
        ("norm", Role::Norm, 1, 1),
        ("bias", Role::Bias, 1, 1),
    ];
    assert_eq!(parameters, expected);
    assert_eq!((architecture.hidden_size, architecture.vocab_size, architecture.stages), (4, 7, 2));
    assert_eq!(architecture.ignored, ["rotary.*"]);
    assert_eq!((architecture.head.weight, architecture.head.bias), (3, None));
    assert_eq!((architecture.cache_layers, architecture.kv_heads, architecture.head_dim), (1, 2, 2));

    let context = Arc::new(Context);
    let embedded = model.forward(0, None, context.clone()).unwrap();
    let x = [1.0, 2.0, 3.0, 4.0, -1.0, -2.0, -3.0, -4.0];
    assert_eq!(embedded.to_list().unwrap(), x);
    let output = model.forward(1, Some(&embedded), context.clone()).unwrap();
    let expected = x.map(|x: f64| {
        let normed = x / 2.0;
        let heads = normed + 5.0;
        let mixed = (-heads - heads + heads) * 0.5;
        x + 2.0 * (mixed * normed)
    });
    assert_near("stage 1", &output.to_list().unwrap(), &expected);
    let text = message(model.forward(9, Some(&embedded), context));
    assert!(
        text.starts_with("The plugin `kinds` failed in `forward`: ")
            && text.contains("there is no such stage"),
        "{text}"
    );
    assert!(message(model.load("{\"a\": 1}")).contains("a configuration that is not empty"));
}

#[test]
fn the_dataset_adapter_converts_and_leaves_out() {
    let mut adapter = plugin("kinds").dataset(&limits()).unwrap();
    assert_eq!(adapter.matches(&["q".into()]).unwrap(), 9);
    assert_eq!(adapter.matches(&["a".into()]).unwrap(), 0);
    let outcomes = adapter.convert(&["{\"q\": 1}".into(), "null".into()]).unwrap();
    let [Outcome::Sample(sample), Outcome::Skipped(reason)] = outcomes.as_slice() else {
        panic!("{outcomes:?}")
    };
    assert_eq!(reason, "the row is empty");
    let question = said("user", "{\"q\": 1}", None, None);
    assert_eq!(sample.messages, [question.clone(), said("assistant", "yes", Some(true), Some(0.5))]);
    assert_eq!(sample.rejected.as_deref(), Some(&[question, said("assistant", "no", None, None)][..]));
    assert_eq!(sample.positives, [[said("user", "near", None, None)]]);
    assert_eq!(sample.negatives, [[said("user", "far", Some(false), None)]]);
    assert_eq!(sample.columns, [("label".to_owned(), "1".to_owned())]);
    assert_eq!(message(adapter.convert(&[])), "The plugin `kinds` failed in `convert`: there are no rows");
}

#[test]
fn the_metric_sums_over_batches_and_forgets() {
    let mut metric = plugin("kinds").metric(&none(), &limits()).unwrap();
    for shift in [0.0, -1.0] {
        metric.observe(Arc::new(Batch), Arc::new(Outputs { shift })).unwrap();
    }
    let sum = |shift: f64| LOGPS.iter().zip(WEIGHTS).map(|(logp, w)| (logp + shift) * w).sum::<f64>();
    let numbers = metric.finish().unwrap();
    assert_eq!(numbers.len(), 1);
    assert_eq!(numbers[0].0, "sum");
    assert_near("sum", &[numbers[0].1], &[sum(0.0) + sum(-1.0)]);
    assert_eq!(metric.finish().unwrap(), [("sum".to_owned(), 0.0)]);
}

#[test]
fn the_schedule_falls() {
    let mut schedule = plugin("kinds").schedule(&none(), &limits()).unwrap();
    let factors: Vec<f64> = (0..=4).map(|step| schedule.factor(step, 4).unwrap()).collect();
    assert_eq!(factors, [1.0, 0.75, 0.5, 0.25, 0.0]);
    assert_eq!(message(schedule.factor(0, 0)), "The plugin `kinds` failed in `factor`: the run has no steps");
}

#[test]
fn the_optimiser_takes_a_step() {
    let mut optimizer = plugin("kinds").optimizer(&none(), &limits()).unwrap();
    let parameter = OptimizedParameter { name: "w".into(), shape: vec![2], weight_decay: 0.5 };
    let slots = optimizer.slots(&parameter).unwrap();
    assert_eq!((slots.len(), slots[0].name.as_str(), slots[0].shape.as_slice()), (1, "momentum", &[2][..]));
    let (value, gradient, momentum) = (vector(&[1.0, -2.0]), vector(&[0.5, 4.0]), vector(&[2.0, -1.0]));
    let (updated, slots) = optimizer.update(&parameter, &value, &gradient, &[momentum], 1, 0.25).unwrap();
    let momentum = [2.0 / 2.0 + 0.5, -1.0 / 2.0 + 4.0];
    let expected = [1.0 - 0.25 * (momentum[0] + 0.5 * 1.0), -2.0 - 0.25 * (momentum[1] + 0.5 * -2.0)];
    assert_near("value", &updated.to_list().unwrap(), &expected);
    assert_near(
        "momentum",
        &slots.iter().flat_map(|slot: &Tensor| slot.to_list().unwrap()).collect::<Vec<_>>(),
        &momentum,
    );
}

#[test]
fn the_reward_sees_the_whole_answer() {
    let mut reward = plugin("kinds").reward(&none(), &limits()).unwrap();
    let complete = Completion {
        messages_json: "[]".into(),
        text: "four".into(),
        token_ids: vec![1, 2, 3],
        finished: true,
        columns: vec![("solution".into(), "\"4\"".into())],
    };
    let cut = Completion { finished: false, ..complete.clone() };
    let size = "[]".len() + "four".len() + 3 + "solution".len() + "\"4\"".len();
    assert_eq!(reward.score(&[complete, cut]).unwrap(), [Some(size as f64), None]);
}

#[test]
fn the_template_renders_and_reads() {
    let mut template = plugin("kinds").template(&limits()).unwrap();
    assert_eq!(template.names().unwrap(), ["plain"]);
    assert_eq!(template.agent_templates().unwrap(), ["words"]);
    let options = RenderOptions {
        training: RenderedTraining::Answers,
        system: Some("be kind".into()),
        enable_thinking: Some(true),
        preserve_thinking: None,
        add_non_thinking_prefix: true,
        response_prefix: Some("Well".into()),
        agent_template: Some("words".into()),
        date: "2025-03-14".into(),
        special_tokens: vec![("eos_token".into(), "<end>".into())],
    };
    let messages = [said("user", "2 + 2?", None, None), said("assistant", "4", None, Some(0.5))];
    let rendered = template.render("plain", &messages, Some("[]"), &options).unwrap().unwrap();
    let shown: Vec<String> = rendered
        .pieces
        .iter()
        .map(|piece| {
            let content = match &piece.content {
                PieceContent::Text(text) => text.clone(),
                PieceContent::TokenId(id) => format!("#{id}"),
                PieceContent::TokenName(name) => format!("#{name}"),
                PieceContent::TextBegin => "<".into(),
                PieceContent::TextEnd => ">".into(),
            };
            format!("{content} {} {}", piece.weight, piece.answer_to.as_deref().unwrap_or("-"))
        })
        .collect();
    let expected = [
        "< 0 -",
        "#7 0 -",
        "#bos_token_id 0 -",
        "be kind 0 -",
        "[] 0 -",
        "Well 0 -",
        "words 0 -",
        "2025-03-14 0 -",
        "#2 0 -",
        "2 + 2? 0 -",
        "4 0.5 2 + 2?",
        "> 0 -",
    ];
    assert_eq!(shown, expected);
    assert!(matches!(rendered.suffix.as_slice(), [PieceContent::Text(text)] if text == "<end>"));
    let prompt = RenderOptions { training: RenderedTraining::None, ..options.clone() };
    let rendered = template.render("plain", &messages, None, &prompt).unwrap().unwrap();
    assert!(rendered.pieces.iter().all(|piece| piece.weight == 0.0));
    let refused = template.render("other", &messages, None, &options).unwrap().unwrap_err();
    assert_eq!(refused, "there is no such template");

    let read = template.read_calls("plain", Some("words"), "Let me see CALL {}").unwrap().unwrap();
    assert_eq!((read.text.as_str(), read.calls.len()), ("Let me see", 1));
    assert_eq!((read.calls[0].name.as_str(), read.calls[0].arguments.as_str()), ("words", "{}"));
}

#[test]
fn the_rule_weighs_words() {
    let mut rule = plugin("kinds").loss_scale(&none(), &limits()).unwrap();
    let parts = |first: f64| vec![("one".to_owned(), first), (" two".to_owned(), 1.0)];
    assert_eq!(rule.weigh("one two", None).unwrap(), parts(0.5));
    assert_eq!(rule.weigh("one two", Some("how many?")).unwrap(), parts(2.0));
}
