//! Forms that are forced, over HTTP, of a model that knows nothing.

use serde_json::{Value, json};
use swift_infer::EngineOptions;
use swift_serve::ServeOptions;

use crate::support::{Running, serve};

/// Enough blocks for all answers at once.
const MANY: usize = 3000;

fn server(blocks: usize) -> Running {
    let options = EngineOptions { context_length: 512, ..Default::default() };
    serve("../tiny-qwen2", blocks, options, ServeOptions::default())
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "color": { "enum": ["red", "green"] },
            "count": { "type": "integer", "minimum": 0, "maximum": 9 },
        },
        "required": ["color", "count"],
        "additionalProperties": false,
    })
}

fn check(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value.as_object().unwrap().len(), 2, "{text}");
    assert!(["red", "green"].contains(&value["color"].as_str().unwrap()), "{text}");
    assert!(value["count"].as_u64().unwrap() < 10, "{text}");
}

/// The request with what all have in common.
fn post(server: &Running, path: &str, more: Value) -> Value {
    let mut body = json!({
        "messages": [{ "role": "user", "content": "x" }], "prompt": "x", "n": 8, "seed": 1, "max_tokens": 400,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post(path, &body).json()
}

/// The choices that did not end for want of room; there is at least one.
fn ended(reply: &Value, reason: &str) -> Vec<Value> {
    let choices = reply["choices"].as_array().unwrap_or_else(|| panic!("{reply}"));
    let ended: Vec<Value> =
        choices.iter().filter(|choice| choice["finish_reason"] != "length").cloned().collect();
    assert!(!ended.is_empty(), "{reply}");
    assert!(ended.iter().all(|choice| choice["finish_reason"] == reason), "{reply}");
    ended
}

#[test]
fn answers_are_json_of_the_schema_in_chats_and_completions() {
    let server = server(MANY);
    let described = json!({ "name": "x", "strict": true, "schema": schema() });
    let format = json!({ "response_format": { "type": "json_schema", "json_schema": described } });
    for choice in ended(&post(&server, "/v1/chat/completions", format), "stop") {
        check(choice["message"]["content"].as_str().unwrap());
    }
    for form in [json!({ "guided_json": schema() }), json!({ "structured_outputs": { "json": schema() } })] {
        for choice in ended(&post(&server, "/v1/completions", form), "stop") {
            check(choice["text"].as_str().unwrap());
        }
    }
    let any = json!({ "response_format": { "type": "json_object" }, "n": 32 });
    for choice in ended(&post(&server, "/v1/chat/completions", any), "stop") {
        let text = choice["message"]["content"].as_str().unwrap();
        assert!(serde_json::from_str::<Value>(text).unwrap().is_object(), "{text}");
    }
    assert!(server.is_free());
}

#[test]
fn forms_hold_where_more_tokens_are_asked_for() {
    let server = server(MANY);
    let more = json!({ "guided_json": schema(), "n": 12, "min_tokens": 390, "ignore_eos": true });
    for choice in ended(&post(&server, "/v1/completions", more), "stop") {
        check(choice["text"].as_str().unwrap());
    }
    assert!(server.is_free());
}

#[test]
fn texts_follow_choices_expressions_and_rules() {
    let server = server(MANY);
    let texts = |form: Value| -> Vec<String> {
        let choices = ended(&post(&server, "/v1/completions", form), "stop");
        assert_eq!(choices.len(), 8);
        choices.iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect()
    };
    let choices = texts(json!({ "guided_choice": ["yes", "no"] }));
    assert!(choices.iter().all(|text| text == "yes" || text == "no"), "{choices:?}");
    let is_number = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = texts(json!({ "guided_regex": "[0-9]{3}" }));
    assert!(numbers.iter().all(|text| is_number(text)), "{numbers:?}");
    let rules = texts(json!({ "guided_grammar": "start: \"a\" number\nnumber: /[0-9]{3}/" }));
    assert!(rules.iter().all(|text| text.strip_prefix('a').is_some_and(is_number)), "{rules:?}");
}

#[test]
fn forced_calls_are_calls_of_the_tools() {
    let server = server(MANY);
    let tool = |name: &str, schema: Value| json!({ "type": "function", "function": { "name": name, "parameters": schema } });
    let nothing = json!({ "type": "object", "additionalProperties": false });
    let tools = json!([tool("paint", schema()), tool("wait", nothing)]);
    let required = json!({ "tools": tools, "tool_choice": "required", "parallel_tool_calls": false });
    for choice in ended(&post(&server, "/v1/chat/completions", required), "tool_calls") {
        assert_eq!(choice["message"]["content"], Value::Null);
        let calls = choice["message"]["tool_calls"].as_array().unwrap();
        let (function, arguments) =
            (&calls[0]["function"], calls[0]["function"]["arguments"].as_str().unwrap());
        assert_eq!(calls.len(), 1);
        match function["name"].as_str().unwrap() {
            "paint" => check(arguments),
            name => assert_eq!((name, arguments), ("wait", "{}")),
        }
    }
    let paint = json!({ "type": "function", "function": { "name": "paint" } });
    let named = json!({ "tools": tools, "tool_choice": paint });
    for choice in ended(&post(&server, "/v1/chat/completions", named), "stop") {
        let function = &choice["message"]["tool_calls"][0]["function"];
        assert_eq!(function["name"], "paint");
        check(function["arguments"].as_str().unwrap());
    }
}

#[test]
fn forms_that_can_not_be_followed_are_refused_with_the_field() {
    let server = server(MANY);
    for (form, field) in [
        (json!({ "guided_regex": "(" }), "guided_regex"),
        (json!({ "guided_regex": "(".repeat(100_000) }), "guided_regex"),
        (json!({ "guided_grammar": "start: missing" }), "guided_grammar"),
        (json!({ "guided_choice": ["x".repeat(300_000)] }), "guided_choice"),
        (json!({ "guided_choice": ["x"], "guided_regex": "x" }), "guided_choice"),
        (json!({ "response_format": { "type": "xml" } }), "response_format"),
        (
            json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": { "type": "no" } } } }),
            "response_format",
        ),
        (json!({ "tool_choice": "required" }), "tool_choice"),
        (json!({ "tool_choice": "sometimes" }), "tool_choice"),
    ] {
        let reply = post(&server, "/v1/chat/completions", form);
        let error = &reply["error"];
        assert_eq!(
            (&error["type"], &error["param"]),
            (&json!("invalid_request_error"), &json!(field)),
            "{reply}"
        );
    }
}
