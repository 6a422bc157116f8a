use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swift_data::{Template, TemplateOptions, Tokenizer};
use swift_infer::{Finish, Output, Pooling, Request, RequestId, Statistics, Stop};
use swift_runtime::{Limits, Origin};
use swift_serve::{Generator, REASONING_PARSERS, Reply, ServeOptions, Service, ToolParser};
use tokio::sync::oneshot;

use crate::guest::Guest;
use crate::support::{Running, registry, start};

/// Gives out what it was told to, a few characters at a time.
struct Script(&'static str);

fn at_once<T>(value: swift_infer::Result<T>) -> Reply<T> {
    let (sender, reply) = oneshot::channel();
    let _ = sender.send(value);
    reply
}

impl Generator for Script {
    fn submit(&self, requests: Vec<Request>) -> Reply<Vec<RequestId>> {
        let characters: Vec<char> = self.0.chars().collect();
        let parts: Vec<String> = characters.chunks(3).map(|part| part.iter().collect()).collect();
        for request in &requests {
            for (index, text) in parts.iter().enumerate() {
                let is_last = index + 1 == parts.len();
                (request.receiver)(Output {
                    choice: 0,
                    tokens: vec![7],
                    text: text.clone(),
                    logprobs: Vec::new(),
                    prompt_logprobs: Vec::new(),
                    cached_tokens: 0,
                    finish: is_last.then_some(Finish::Stop(Stop::EndOfSequence)),
                });
            }
        }
        at_once(Ok(requests.iter().map(|_| RequestId(0)).collect()))
    }

    fn cancel(&self, _: RequestId) {}

    fn embed(&self, _: Vec<u32>, _: Pooling) -> Reply<Vec<f32>> {
        at_once(Ok(Vec::new()))
    }

    fn adapters(&self) -> Reply<Vec<String>> {
        at_once(Ok(Vec::new()))
    }

    fn load_adapter(&self, _: String, _: PathBuf) -> Reply<()> {
        at_once(Ok(()))
    }

    fn unload_adapter(&self, _: String) -> Reply<()> {
        at_once(Ok(()))
    }

    fn statistics(&self) -> Statistics {
        Statistics::default()
    }

    fn lives(&self) -> bool {
        true
    }
}

const ANSWER: &str = "<think>\nHow?\n</think>\n\nI look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n\
                      </tool_call>\n<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call>";

fn server() -> Running<()> {
    server_with(ANSWER, None)
}

/// A server whose model always answers the same, with a plugin that finds calls.
fn server_with(answer: &'static str, tool_parser: Option<ToolParser>) -> Running<()> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tiny-qwen2"));
    let tokenizer = Tokenizer::load(folder).unwrap();
    let template = Template::of_model(&tokenizer, TemplateOptions::default()).unwrap();
    let service = Service {
        generator: Arc::new(Script(answer)),
        tokenizer: Some(tokenizer),
        template: Some(template),
        grammars: None,
        samplers: Vec::new(),
        tool_parser,
        context_length: 100,
    };
    let options = ServeOptions { reasoning_parser: REASONING_PARSERS.first(), ..Default::default() };
    start(service, options, ())
}

fn chat(tools: bool, stream: bool) -> Value {
    let tool = json!([{ "type": "function", "function": { "name": "f", "parameters": {} } }]);
    let mut body = json!({ "messages": [{ "role": "user", "content": "x" }], "stream": stream });
    if tools {
        body["tools"] = tool;
    }
    body
}

#[test]
fn calls_and_thoughts_are_taken_out_of_the_text() {
    let reply = server().post("/v1/chat/completions", &chat(true, false)).json();
    let choice = &reply["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let message = &choice["message"];
    assert_eq!((&message["content"], &message["reasoning_content"]), (&json!("I look."), &json!("\nHow?\n")));
    let calls = message["tool_calls"].as_array().unwrap();
    assert_eq!(calls[0]["function"], json!({ "name": "f", "arguments": "{\"x\":1}" }));
    assert_eq!(calls[1]["function"], json!({ "name": "g", "arguments": "{}" }));
    assert_ne!(calls[0]["id"], calls[1]["id"]);
}

#[test]
fn there_is_one_call_if_there_may_not_be_more() {
    for stream in [false, true] {
        let mut body = chat(true, stream);
        body["parallel_tool_calls"] = json!(false);
        let reply = server().post("/v1/chat/completions", &body).body;
        assert!(reply.contains(r#""name":"f""#) && !reply.contains(r#""name":"g""#), "{reply}");
    }
}

#[test]
fn without_tools_in_the_request_calls_are_text() {
    let reply = server().post("/v1/chat/completions", &chat(false, false)).json();
    let choice = &reply["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    let (_, text) = ANSWER.split_once("\n\n").unwrap();
    assert_eq!(choice["message"]["content"], text);
}

#[test]
fn a_stream_has_the_same_calls_and_thoughts() {
    let reply = server().post("/v1/chat/completions", &chat(true, true));
    let events: Vec<&str> = reply.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0], &json!({ "role": "assistant", "content": "" }));
    let joined = |name: &str| deltas.iter().filter_map(|delta| delta[name].as_str()).collect::<String>();
    assert_eq!((joined("content").as_str(), joined("reasoning_content").as_str()), ("I look.", "\nHow?\n"));
    let calls: Vec<&Value> =
        deltas.iter().filter_map(|delta| delta["tool_calls"].as_array()).flatten().collect();
    let named: Vec<_> = calls.iter().map(|call| (&call["index"], &call["function"]["name"])).collect();
    assert_eq!(named, [(&json!(0), &json!("f")), (&json!(1), &json!("g"))]);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

fn standard(name: &str) -> Option<ToolParser> {
    let plugin = registry().resolve(name).unwrap();
    Some(ToolParser::new(plugin.tool_parser(&Map::new(), &Limits::default()).unwrap()))
}

/// A parser called `hostile` whose `parse` is this text.
fn hostile(parse: &str) -> Option<ToolParser> {
    let component = Guest::tool_parser(parse).encode();
    let plugin = registry().load(&component, "hostile.wasm", Origin::Standard).unwrap();
    Some(ToolParser::new(plugin.tool_parser(&Map::new(), &Limits::default()).unwrap()))
}

#[test]
fn a_plugin_finds_calls_in_the_place_of_the_parser_that_is_built_in() {
    let answer = "<think>How?</think>\n[f(x=1, y='a'), g()]";
    let server = server_with(answer, standard("pythonic"));
    let choice = server.post("/v1/chat/completions", &chat(true, false)).json()["choices"][0].clone();
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &Value::Null)
    );
    assert_eq!(choice["message"]["reasoning_content"], "How?");
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls[0]["function"], json!({ "name": "f", "arguments": "{\"x\":1,\"y\":\"a\"}" }));
    assert_eq!(calls[1]["function"], json!({ "name": "g", "arguments": "{}" }));
    // Without tools there is nothing to call.
    let choice = server.post("/v1/chat/completions", &chat(false, false)).json()["choices"][0].clone();
    assert_eq!(choice["message"]["content"], "[f(x=1, y='a'), g()]");
}

#[test]
fn json_that_is_all_of_an_answer_is_a_call_of_a_tool_that_is_there() {
    let answer = r#"{"name": "f", "parameters": {"x": 1}}"#;
    let reply = server_with(answer, standard("json_calls")).post("/v1/chat/completions", &chat(true, false));
    let message = reply.json()["choices"][0]["message"].clone();
    assert_eq!(message["tool_calls"][0]["function"], json!({ "name": "f", "arguments": "{\"x\":1}" }));
    let answer = r#"{"name": "Rome", "parameters": {}}"#;
    let reply = server_with(answer, standard("json_calls")).post("/v1/chat/completions", &chat(true, false));
    assert_eq!(reply.json()["choices"][0]["message"]["content"], answer);
}

#[test]
fn a_plugin_gives_out_what_is_certain_while_an_answer_is_streamed() {
    for (answer, texts, calls) in
        [("Some words and [f(x=1)]", 8, 0), ("[f(x=1),\n f(x=2)]", 0, 2), ("[f(x=1)] it is", 1, 0)]
    {
        let reply = server_with(answer, standard("pythonic")).post("/v1/chat/completions", &chat(true, true));
        let chunks: Vec<Value> = reply
            .body
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .collect();
        let deltas = || chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
        let contents: Vec<&str> =
            deltas().filter_map(|delta| delta["content"].as_str()).filter(|text| !text.is_empty()).collect();
        assert_eq!(contents.len(), texts, "{contents:?}");
        assert_eq!(contents.concat(), if calls == 0 { answer } else { "" });
        assert_eq!(deltas().filter_map(|delta| delta["tool_calls"].as_array()).flatten().count(), calls);
        let reason = if calls == 0 { "stop" } else { "tool_calls" };
        assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], reason);
    }
}

#[test]
fn a_parser_that_misbehaves_ends_its_answer_with_an_error_that_names_it() {
    for (parse, said) in [
        (
            "unreachable",
            "The plugin `hostile` crashed in `parse`: wasm trap: wasm `unreachable` instruction executed",
        ),
        // Less of a longer answer than of a shorter one.
        (
            "(call $text (select (i32.const 1) (i32.const 0) (i32.lt_u (local.get $length) (i32.const 9))))",
            "The plugin `hostile` took back what it had given of an answer before",
        ),
    ] {
        let server = server_with("so many words", hostile(parse));
        for _ in 0..2 {
            let reply = server.post("/v1/chat/completions", &chat(true, false));
            assert_eq!((reply.status, &reply.json()["error"]["message"]), (500, &json!(said)));
        }
        let events = server.post("/v1/chat/completions", &chat(true, true)).body;
        assert!(events.contains(said) && events.contains("data: [DONE]\n\n"), "{events}");
        // Who has no tools is not concerned.
        assert_eq!(server.post("/v1/chat/completions", &chat(false, false)).status, 200);
    }
}
