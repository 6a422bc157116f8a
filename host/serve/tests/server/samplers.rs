//! Sampler plugins, over HTTP: what they change, and what becomes of those that misbehave.

use std::time::Duration;

use serde_json::{Map, Value, json};
use swift_infer::{EngineOptions, Sampler};
use swift_runtime::{Limits, Origin};
use swift_serve::ServeOptions;

use crate::guest::Guest;
use crate::support::{Running, registry, serve_with};

/// A server with samplers, for a model that knows nothing.
fn server(samplers: Vec<Sampler>) -> Running {
    let options = EngineOptions { context_length: 256, ..Default::default() };
    serve_with("../tiny-qwen2", 2000, options, ServeOptions::default(), samplers)
}

/// A standard sampler with hyper-parameters.
fn typical(typical_p: f64) -> Sampler {
    let arguments: Map<String, Value> = json!({ "typical_p": typical_p }).as_object().cloned().unwrap();
    Sampler::new(registry().resolve("typical").unwrap().sampler(&arguments, &Limits::default()).unwrap())
}

/// A sampler called `hostile` whose `adjust` is this text.
fn hostile(adjust: &str) -> Sampler {
    let limits = Limits { call_time: Duration::from_millis(50), ..Limits::default() };
    let component = Guest::sampler(adjust).encode();
    let plugin = registry().load(&component, "hostile.wasm", Origin::Standard).unwrap();
    Sampler::new(plugin.sampler(&Map::new(), &limits).unwrap())
}

fn complete(server: &Running, more: Value) -> Value {
    let mut body = json!({ "prompt": "x", "max_tokens": 12, "ignore_eos": true, "return_token_ids": true });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post("/v1/completions", &body).json()
}

fn tokens(reply: &Value) -> Vec<Value> {
    reply["choices"][0]["token_ids"].as_array().unwrap_or_else(|| panic!("{reply}")).clone()
}

#[test]
fn a_sampler_changes_the_answers_of_requests_that_name_it_and_of_no_others() {
    let server = server(vec![typical(1e-9)]);
    let answer = |seed: u64, sampler: Value| {
        tokens(&complete(&server, json!({ "seed": seed, "temperature": 1, "sampler": sampler })))
    };
    // One token alone is left each time, so that chance has nothing to choose.
    let typical = answer(1, "typical".into());
    assert_eq!(typical, answer(2, json!(["typical"])));
    assert_eq!(typical.len(), 12);
    assert_ne!(typical, answer(1, Value::Null));
    assert_ne!(answer(1, Value::Null), answer(2, json!([])));
    assert!(server.is_free());
}

#[test]
fn samplers_that_were_not_loaded_are_refused() {
    let message = |server: &Running, sampler: Value| {
        let body = json!({ "prompt": "x", "sampler": sampler });
        let reply = server.post("/v1/completions", &body);
        assert_eq!(reply.status, 400, "{}", reply.body);
        let error = reply.json()["error"].clone();
        assert_eq!((&error["param"], &error["type"]), (&json!("sampler"), &json!("invalid_request_error")));
        error["message"].as_str().unwrap().to_owned()
    };
    let (none, one) = (server(Vec::new()), server(vec![typical(0.9)]));
    assert_eq!(message(&none, "typical".into()), "`sampler` names `typical`, and this server has no sampler");
    assert_eq!(message(&one, "other".into()), "`sampler` names `other`, and this server has `typical`");
    assert_eq!(message(&one, json!(1)), "`sampler` must be a text or a list of texts");
    let twice = json!(["typical", "typical"]);
    assert_eq!(message(&one, twice), "`sampler` names 2 samplers, and this server has 1");
}

#[test]
fn a_form_holds_whatever_a_sampler_wants() {
    let server = server(vec![hostile("(call $ok (call $flat (local.get $logits)))")]);
    let form = json!({ "guided_choice": ["yes", "no"], "sampler": "hostile", "n": 16, "seed": 5 });
    let reply = complete(&server, form);
    for choice in reply["choices"].as_array().unwrap() {
        let text = choice["text"].as_str().unwrap();
        assert!(["yes", "no"].contains(&text), "{reply}");
    }
}

#[test]
fn a_sampler_that_crashes_or_never_ends_takes_its_own_request_only() {
    let stops = "(if (i64.eq (call $step (local.get $generation)) (i64.const 3)) (then BAD))
                 (call $ok (call $flat (local.get $logits)))";
    for (bad, words) in [
        ("unreachable", "crashed in `adjust`: wasm trap: wasm `unreachable` instruction executed"),
        ("(loop $for-ever (br $for-ever))", "was stopped in `adjust`: it ran for more than 0.05 seconds"),
    ] {
        let server = server(vec![hostile(&stops.replace("BAD", bad)), typical(0.9)]);
        let good = json!({ "seed": 1, "max_tokens": 60 });
        let expected = tokens(&complete(&server, good.clone()));
        std::thread::scope(|scope| {
            let answers =
                [&good, &good, &good].map(|body| scope.spawn(|| tokens(&complete(&server, body.clone()))));
            for _ in 0..3 {
                let body =
                    json!({ "prompt": "x", "max_tokens": 60, "ignore_eos": true, "sampler": "hostile" });
                let reply = server.post("/v1/completions", &body);
                assert_eq!(reply.status, 500, "{}", reply.body);
                let error = &reply.json()["error"];
                assert_eq!(error["message"], format!("The plugin `hostile` {words}"));
                assert_eq!(error["type"], "server_error");
            }
            for answer in answers {
                assert_eq!(answer.join().unwrap(), expected);
            }
        });
        // A stream that has begun says so in its last event.
        let body = json!({ "prompt": "x", "max_tokens": 60, "ignore_eos": true, "sampler": "hostile", "stream": true });
        let events = server.post("/v1/completions", &body).body;
        let events: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let [.., error, done] = events.as_slice() else { panic!("{events:?}") };
        assert!(error.contains("The plugin `hostile`") && events.len() > 3, "{events:?}");
        assert_eq!(*done, "[DONE]");
        // What gave up before can be named again, and the other sampler never noticed.
        let short = complete(&server, json!({ "sampler": ["hostile", "typical"], "max_tokens": 3 }));
        assert_eq!(tokens(&short).len(), 3);
        assert!(server.is_free());
    }
}
