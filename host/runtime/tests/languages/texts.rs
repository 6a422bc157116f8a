//! Plugins that work on rows, conversations and answers.

use serde_json::Map;
use swift_runtime::{
    Completion, Kind, Limits, Message, Outcome, PieceContent, RenderOptions, RenderedTraining,
};

use crate::language::{language, plugin};

#[test]
fn rows_become_samples_or_are_skipped_for_a_reason() {
    let mut dataset = plugin(Kind::Dataset).dataset(&Limits::default()).unwrap();
    assert_eq!(dataset.matches(&["q".into()]).unwrap(), 7);
    let rows = [r#"{"q": "1+1?", "a": "2"}"#, r#"{"q": null}"#, r#"{"q": "?"}"#].map(String::from);
    let outcomes = dataset.convert(&rows).unwrap();
    let Outcome::Sample(sample) = &outcomes[0] else { panic!("it was skipped") };
    assert_eq!((sample.messages[1].content.as_str(), sample.messages[1].loss_scale), ("2", Some(0.5)));
    assert_eq!(sample.rejected.as_ref().unwrap().len(), 1);
    assert_eq!(sample.columns, [("margin".to_owned(), "2".to_owned())]);
    let [Outcome::Skipped(foreseen), Outcome::Skipped(crash)] = &outcomes[1..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(foreseen, "the question is missing");
    assert!(crash.starts_with(language().crashes[1]), "{crash}");
}

#[test]
fn an_error_where_none_is_foreseen_crashes_with_its_words_and_the_plugin_starts_anew() {
    let mut dataset = plugin(Kind::Dataset).dataset(&Limits::default()).unwrap();
    let crash = dataset.matches(&[]).unwrap_err().to_string();
    let words = format!("there are no columns, at {}:", language().source(Kind::Dataset));
    assert!(crash.contains(&words), "{crash}");
    assert_eq!(dataset.matches(&["q".into()]).unwrap(), 7);
}

#[test]
fn a_reward_scores_answers_that_it_applies_to() {
    let completion = |text: &str, finished| Completion {
        messages_json: r#"[{"role": "user", "content": "1+1?"}]"#.into(),
        text: text.into(),
        token_ids: vec![1, 2],
        finished,
        columns: vec![("solution".into(), r#""2""#.into())],
    };
    let mut reward = plugin(Kind::Reward).reward(&Map::new(), &Limits::default()).unwrap();
    let scores =
        reward.score(&[completion("2", true), completion("3", true), completion("2", false)]).unwrap();
    assert_eq!(scores, [Some(4.0), Some(3.0), None]);
}

#[test]
fn a_loss_scale_cuts_an_answer_with_and_without_a_question() {
    let mut scale = plugin(Kind::LossScale).loss_scale(&Map::new(), &Limits::default()).unwrap();
    assert_eq!(scale.weigh("abc", Some("?")).unwrap(), [("a".to_owned(), 1.0), ("bc".to_owned(), 0.5)]);
    assert_eq!(scale.weigh("abc", None).unwrap(), [("a".to_owned(), 1.0), ("bc".to_owned(), 0.0)]);
}

#[test]
fn a_template_gives_pieces_or_a_reason() {
    let mut template = plugin(Kind::Template).template(&Limits::default()).unwrap();
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
    let [first, second, third] = &rendered.pieces[..] else { panic!("{rendered:?}") };
    assert!(matches!(first.content, PieceContent::TokenId(7)));
    assert_eq!((first.weight, first.answer_to.as_deref()), (0.0, None));
    assert!(matches!(&second.content, PieceContent::Text(text) if text == "1+1?"));
    assert_eq!((second.weight, second.answer_to.as_deref()), (1.0, Some("last-round")));
    assert!(matches!(&third.content, PieceContent::TokenName(name) if name == "plain"));
    assert!(
        matches!(&rendered.suffix[..], [PieceContent::Text(text), PieceContent::TextEnd] if text == "\n")
    );
    let reason = template.render("plain", &said, Some("[{}]"), &options).unwrap().unwrap_err();
    assert_eq!(reason, "tools are not for this template");
}

#[test]
fn a_template_takes_answers_apart_or_says_why_it_cannot() {
    let mut template = plugin(Kind::Template).template(&Limits::default()).unwrap();
    assert_eq!(template.agent_templates().unwrap(), ["lines"]);
    let answer = template.read_calls("plain", Some("lines"), "so\nadd").unwrap().unwrap();
    let calls: Vec<_> =
        answer.calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
    assert_eq!((answer.text.as_str(), calls), ("plain lines so", vec![("add", "{}")]));
    assert_eq!(template.read_calls("plain", None, "so").unwrap().unwrap().text, "plain own so");
    let reason = template.read_calls("fancy", None, "so").unwrap().unwrap_err();
    assert_eq!(reason, "there is no template `fancy`");
}

#[test]
fn a_parser_of_tool_calls_takes_finished_answers_apart() {
    let mut parser = plugin(Kind::ToolParser).tool_parser(&Map::new(), &Limits::default()).unwrap();
    let answer = parser.parse("so\nadd\nsub", true, r#"["add"]"#).unwrap();
    let calls: Vec<_> =
        answer.calls.iter().map(|call| (call.name.as_str(), call.arguments.replace(' ', ""))).collect();
    let expected = [("add", r#"{"known":true}"#.to_owned()), ("sub", r#"{"known":false}"#.to_owned())];
    assert_eq!((answer.text.as_str(), calls.as_slice()), ("so", &expected[..]));
    let part = parser.parse("so\nadd", false, "[]").unwrap();
    assert_eq!((part.text.as_str(), part.calls.len()), ("", 0));
    let error = parser.parse("odd", true, "[]").unwrap_err().to_string();
    assert!(error.contains("failed in `parse`: this is odd, at "), "{error}");
}
