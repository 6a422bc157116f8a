//! Chat templates, and rules for loss weights.

use serde_json::{Value, json};
use swift_runtime::{Limits, Message, PieceContent, RenderOptions, RenderedTraining, TemplatePlugin};

use crate::plugin;

const TOOLS: &str = r#"[{"name": "add", "description": "Add two numbers.", "parameters": {}}]"#;

fn templates() -> TemplatePlugin {
    plugin("chat-templates").template(&Limits::default()).unwrap()
}

fn options() -> RenderOptions {
    RenderOptions {
        training: RenderedTraining::Answers,
        system: None,
        enable_thinking: None,
        preserve_thinking: None,
        add_non_thinking_prefix: true,
        response_prefix: None,
        agent_template: None,
        date: "2025-03-14".into(),
        special_tokens: Vec::new(),
    }
}

fn messages(turns: &[(&str, &str)]) -> Vec<Message> {
    let message = |(role, content): &(&str, &str)| Message {
        role: (*role).into(),
        content: (*content).into(),
        train: None,
        loss_scale: None,
    };
    turns.iter().map(message).collect()
}

#[test]
fn every_template_renders_a_conversation_and_weighs_its_answer() {
    let mut templates = templates();
    let names = templates.names().unwrap();
    assert_eq!((names.len(), templates.agent_templates().unwrap().len()), (126, 36));
    let messages = messages(&[("user", "What is it?"), ("assistant", "It is a test.")]);
    for name in names {
        let rendered = templates.render(&name, &messages, None, &options()).unwrap().unwrap();
        let text: String = rendered
            .pieces
            .iter()
            .map(|piece| match &piece.content {
                PieceContent::Text(text) => text.as_str(),
                _ => "",
            })
            .collect();
        assert!(text.contains("What is it?") && text.contains("It is a test."), "{name}: {text}");
        // A judge answers by a token, and is not trained on words.
        let trains = rendered.pieces.iter().any(|piece| piece.weight > 0.0);
        assert_eq!(trains, name != "qwen3_reranker", "{name}");
    }
}

#[test]
fn a_call_is_rendered_and_read_again() {
    let mut templates = templates();
    let call = json!({"name": "add", "arguments": {"a": 1, "b": 2.5}});
    let messages = messages(&[("user", "1 + 2.5?"), ("tool_call", &call.to_string())]);
    let rendered = templates.render("qwen", &messages, Some(TOOLS), &options()).unwrap().unwrap();
    let answer = rendered.pieces.iter().find(|piece| piece.answer_to.is_some()).unwrap();
    let PieceContent::Text(answer) = &answer.content else { panic!("{answer:?}") };
    let read = templates.read_calls("qwen", None, &format!("Let me see. {answer}")).unwrap().unwrap();
    assert_eq!(read.text, "Let me see. ");
    let [read] = read.calls.as_slice() else { panic!("{read:?}") };
    assert_eq!(read.name, "add");
    assert_eq!(read.arguments.parse::<Value>().unwrap(), call["arguments"]);
}

#[test]
fn what_a_template_cannot_render_is_left_out_with_a_reason() {
    let mut templates = templates();
    let mut reason = |name: &str, turns: &[(&str, &str)]| {
        templates.render(name, &messages(turns), None, &options()).unwrap().unwrap_err()
    };
    let question = [("user", "a")];
    assert_eq!(reason("qwen", &question), "the conversation does not end with an answer");
    assert_eq!(reason("qwen9", &question), "there is no template `qwen9`");
    assert_eq!(reason("qwen", &[]), "the conversation has no messages");
    let system = [("system", "s"), ("user", "a"), ("assistant", "b")];
    assert_eq!(reason("yuan", &system), "the template has no place for a system message");
}

#[test]
fn rules_cut_an_answer_and_weigh_its_parts() {
    let arguments = json!({"rules": "hermes+ignore_empty_think"});
    let mut rules =
        plugin("loss-scale-rules").loss_scale(arguments.as_object().unwrap(), &Limits::default()).unwrap();
    let weighed = rules.weigh("<think>\n\n</think>\n\na <tool_call>b</tool_call>", Some("q")).unwrap();
    let expected = [("<think>\n\n</think>\n\n", 0.0), ("a ", 1.0), ("<tool_call>b</tool_call>", 2.0)];
    assert_eq!(weighed, expected.map(|(text, factor)| (text.to_owned(), factor)));
}
