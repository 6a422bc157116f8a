use std::sync::Mutex;

use serde_json::{Value, json};
use swift_infer::EngineOptions;
use swift_serve::ServeOptions;

use crate::support::{Running, folder, serve};

/// Prompt and continuation by transformers.
fn golden(model: &str) -> (Vec<u32>, Vec<u32>) {
    let text = std::fs::read_to_string(folder(model).join("generate.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let ids = |name: &str| serde_json::from_value(file[name].clone()).unwrap();
    (ids("prompt_ids"), ids("greedy_ids"))
}

fn complete(server: &Running, model: &str) {
    let (prompt, expected) = golden(model);
    let body = json!({ "prompt": prompt, "temperature": 0, "max_tokens": expected.len() });
    let reply = server.post("/v1/completions", &body);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["choices"][0]["token_ids"], json!(expected), "{model}");
}

#[test]
fn many_at_once_get_what_transformers_generates() {
    for (model, blocks, max_batch_tokens) in [("llama", 400, 2048), ("qwen2", 13, 7), ("qwen3", 13, 64)] {
        let options = EngineOptions { max_batch_tokens, ..Default::default() };
        let server = serve(model, blocks, options, ServeOptions::default());
        let done = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    complete(&server, model);
                    *done.lock().unwrap() += 1;
                });
            }
        });
        assert_eq!(*done.lock().unwrap(), 6);
        let statistics = server.worker.call(|engine| engine.statistics()).unwrap();
        assert_eq!(statistics.free_blocks, blocks);
        assert!(blocks > 13 || statistics.preemptions > 0, "{statistics:?}");
    }
}

#[test]
fn a_stream_has_the_same_tokens_and_an_end() {
    let (prompt, expected) = golden("llama");
    let server = serve("llama", 100, EngineOptions::default(), ServeOptions::default());
    let body = json!({
        "prompt": prompt, "temperature": 0, "max_tokens": expected.len(), "stream": true,
        "stream_options": { "include_usage": true },
    });
    let reply = server.post("/v1/completions", &body);
    assert!(reply.head.to_lowercase().contains("content-type: text/event-stream"), "{}", reply.head);
    let events: Vec<&str> = reply.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let tokens = chunks.iter().filter_map(|chunk| chunk["choices"][0]["token_ids"].as_array()).flatten();
    assert_eq!(tokens.cloned().collect::<Vec<_>>(), expected.iter().map(|id| json!(id)).collect::<Vec<_>>());
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], expected.len());
}

#[test]
fn answers_go_on_between_the_texts_of_an_embedding() {
    let server = serve("llama", 2000, EngineOptions::default(), ServeOptions::default());
    let steps = || server.worker.call(|engine| engine.statistics().steps).unwrap();
    // It goes on for much longer than the embedding.
    let body = json!({ "prompt": [5, 6], "n": 30, "max_tokens": 5000, "ignore_eos": true, "stream": true });
    let answer = server.open("POST", "/v1/completions", body.to_string().as_bytes(), "");
    while steps() == 0 {}
    let before = steps();
    let texts = vec![vec![5; 40]; 40];
    assert_eq!(server.post("/v1/embeddings", &json!({ "input": texts })).status, 200);
    assert!(steps() - before >= 39);
    drop(answer);
    let wrong = server.post("/v1/embeddings", &json!({ "input": texts, "dimensions": 3 }));
    assert!(wrong.status == 400 && wrong.body.contains("which the model has"), "{}", wrong.body);
}

#[test]
fn only_allowed_tokens_and_the_last_of_a_prompt_count() {
    let server = serve("llama", 100, EngineOptions::default(), ServeOptions::default());
    let body = json!({ "prompt": [9, 8, 7, 6], "truncate_prompt_tokens": 2, "allowed_token_ids": [5],
                       "max_tokens": 3, "ignore_eos": true, "return_token_ids": true });
    let reply = server.post("/v1/completions", &body).json();
    assert_eq!(reply["choices"][0]["token_ids"], json!([5, 5, 5]));
    assert_eq!(
        (&reply["choices"][0]["prompt_token_ids"], &reply["usage"]["prompt_tokens"]),
        (&json!([7, 6]), &json!(2))
    );
}

#[test]
fn embeddings_have_the_length_one() {
    let server = serve("llama", 100, EngineOptions::default(), ServeOptions::default());
    let reply =
        server.post("/v1/embeddings", &json!({ "input": [[5, 6, 7], [8]], "pooling": "mean" })).json();
    for entry in reply["data"].as_array().unwrap() {
        let squares = entry["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2));
        assert!((squares.sum::<f64>() - 1.0).abs() < 1e-5);
    }
    assert_eq!(reply["usage"]["prompt_tokens"], 4);
}
