use std::io::{BufRead as _, Read as _, Write as _};
use std::time::Duration;

use serde_json::json;
use swift_infer::EngineOptions;
use swift_serve::ServeOptions;

use crate::support::{read_head, serve};

#[test]
fn wrong_requests_have_their_status_and_the_shape_of_openai() {
    let options = ServeOptions { max_body_bytes: 1000, max_output_tokens: Some(20), ..Default::default() };
    let server = serve("llama", 100, EngineOptions::default(), options);
    let long = vec![b'x'; 5000];
    for (method, path, body, status) in [
        ("POST", "/v1/completions", &b"\xff"[..], 400),
        ("POST", "/v1/completions", b"[]", 400),
        ("POST", "/v1/completions", b"{}", 400),
        ("POST", "/v1/completions", br#"{"prompt": "text"}"#, 400),
        ("POST", "/v1/completions", br#"{"prompt": [1], "max_tokens": -1}"#, 400),
        ("POST", "/v1/completions", br#"{"prompt": [1], "max_tokens": 21}"#, 400),
        ("POST", "/v1/completions", br#"{"prompt": [1], "model": "other"}"#, 404),
        ("POST", "/v1/completions", br#"{"prompt": [1], "guided_regex": "a"}"#, 400),
        ("POST", "/v1/completions", &long, 413),
        ("POST", "/v1/chat/completions", br#"{"messages": [{"role": "user", "content": "x"}]}"#, 400),
        ("POST", "/v1/adapters", br#"{"name": "a", "path": "b"}"#, 403),
        ("DELETE", "/v1/adapters/a", b"", 403),
        ("GET", "/v1/completions", b"", 405),
        ("POST", "/v1/completions", br#"{"prompt": [1], "bad_words": ["x"]}"#, 400),
        ("POST", "/v1/completions", br#"{"prompt": [1], "allowed_token_ids": []}"#, 400),
        ("POST", "/v1/completions", br#"{"prompt": [1], "truncate_prompt_tokens": 0}"#, 400),
        ("POST", "/detokenize", br#"{"tokens": [1]}"#, 400),
        ("POST", "/tokenize", br#"{"prompt": [[1], [2]]}"#, 400),
        ("GET", "/v1/models/other", b"", 404),
        ("GET", "/", b"", 404),
    ] {
        let reply = server.send(method, path, body, "");
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
        let error = &reply.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
    }
    let unknown = server.post("/v1/completions", &json!({ "prompt": [1], "max_tokens": 1, "surprise": {} }));
    assert_eq!(unknown.status, 200);
    let metrics = server.send("GET", "/metrics", b"", "").body;
    let line = "swift_http_requests_total{route=\"/v1/completions\",status=\"413\"} 1";
    assert!(metrics.contains(line), "{metrics}");
}

#[test]
fn only_who_has_the_key_is_let_in() {
    let options = ServeOptions { api_key: Some("right".into()), ..Default::default() };
    let server = serve("llama", 100, EngineOptions::default(), options);
    let status = |path: &str, headers: &str| server.send("GET", path, b"", headers).status;
    assert_eq!(status("/v1/models", ""), 401);
    assert_eq!(status("/v1/models", "Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(status("/v1/models", "Authorization: Bearer right\r\n"), 200);
    assert_eq!(status("/v1/models", "Authorization: bearer right\r\n"), 200);
    assert_eq!(status("/v1/models", "Authorization: right\r\n"), 401);
    assert_eq!(status("/tokenize", ""), 401);
    let refused = server.send("GET", "/v1/models", b"", "");
    assert!(refused.head.to_lowercase().contains("www-authenticate: bearer\r\n"), "{}", refused.head);
    assert_eq!(status("/v1/nothing", ""), 401);
    assert_eq!(status("/health", ""), 200);
}

#[test]
fn heads_of_answers_say_what_clients_look_for() {
    let options = ServeOptions { max_concurrent_requests: 0, ..Default::default() };
    let server = serve("llama", 100, EngineOptions::default(), options);
    let head = |method: &str, path: &str, body: &[u8], headers: &str| {
        server.send(method, path, body, headers).head.to_lowercase()
    };
    let body = br#"{"prompt": [1]}"#;
    for (method, path, body, headers, status, line) in [
        ("GET", "/health", &b""[..], "X-Request-Id: mine\r\n", "200", "x-request-id: mine\r\n"),
        ("HEAD", "/health", b"", "", "200", "x-request-id: req-"),
        ("GET", "/version", b"", "", "200", "content-type: application/json\r\n"),
        ("PUT", "/v1/adapters", b"", "", "405", "allow: get, post\r\n"),
        ("POST", "/v1/completions", body, "Content-Encoding: gzip\r\n", "415", "connection: close\r\n"),
        ("POST", "/v1/completions", body, "", "429", "retry-after: 1\r\n"),
    ] {
        let head = head(method, path, body, headers);
        assert!(head.contains(&format!(" {status} ")) && head.contains(line), "{method} {path}: {head}");
    }
}

#[test]
fn a_server_is_healthy_while_its_engine_is_busy() {
    let server = serve("llama", 100, EngineOptions::default(), ServeOptions::default());
    let (done, waits) = std::sync::mpsc::channel::<()>();
    server.worker.send(move |_| waits.recv().unwrap_or_default()).unwrap();
    assert_eq!(server.send("GET", "/health", b"", "").status, 200);
    drop(done);
    assert_eq!(server.post("/v1/completions", &json!({ "prompt": [5], "max_tokens": 1 })).status, 200);
}

#[test]
fn whoever_hangs_up_gives_the_blocks_back() {
    let server = serve("llama", 2000, EngineOptions::default(), ServeOptions::default());
    let body = json!({ "prompt": [5, 6], "n": 30, "max_tokens": 5000, "ignore_eos": true, "stream": true });
    let mut connection = server.open("POST", "/v1/completions", body.to_string().as_bytes(), "");
    read_head(&mut connection);
    connection.read_line(&mut String::new()).unwrap();
    drop(connection);
    assert!(server.is_free());
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let options = ServeOptions { body_timeout: Duration::from_millis(1), ..Default::default() };
    let server = serve("llama", 100, EngineOptions::default(), options);
    let mut connection = std::net::TcpStream::connect(server.address).unwrap();
    connection.write_all(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("took too long to arrive"), "{text}");
}

#[test]
fn a_server_that_ends_lets_answers_end_and_accepts_no_more() {
    let server = serve("llama", 100, EngineOptions::default(), ServeOptions::default());
    let body = json!({ "prompt": [5, 6], "max_tokens": 40, "ignore_eos": true, "stream": true });
    let mut connection = server.open("POST", "/v1/completions", body.to_string().as_bytes(), "");
    read_head(&mut connection);
    server.runtime.block_on(server.server.shut_down()).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    assert!(text.contains("\"finish_reason\":\"length\"") && text.contains("data: [DONE]"), "{text}");
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

#[test]
fn a_server_that_waits_no_longer_cancels() {
    let options = ServeOptions { shutdown_timeout: Duration::ZERO, ..Default::default() };
    let server = serve("llama", 20_000, EngineOptions::default(), options);
    let body = json!({ "prompt": [5, 6], "n": 60, "max_tokens": 5000, "ignore_eos": true, "stream": true });
    let mut connection = server.open("POST", "/v1/completions", body.to_string().as_bytes(), "");
    read_head(&mut connection);
    connection.read_line(&mut String::new()).unwrap();
    server.runtime.block_on(server.server.shut_down()).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    assert!(text.contains("shutting down"), "{}", text.len());
}
