//! Answers as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;
use swift_infer::Output;

use crate::error::Result;
use crate::generation::Generation;

/// What makes an answer of parts, a chunk or a whole.
pub(crate) trait Answer: Send + 'static {
    /// What is said before anything is generated.
    fn begin(&mut self) -> Vec<Value>;
    /// What a part adds.
    fn add(&mut self, choice: u32, output: Output) -> Result<Vec<Value>>;
    /// What is said at the end.
    fn end(&mut self) -> Vec<Value>;
    /// Everything that was added, as one answer.
    fn whole(self) -> Value;
}

/// Answers with everything at once.
pub(crate) async fn whole(mut generation: Generation, mut answer: impl Answer) -> Result<Response> {
    while let Some((choice, output)) = generation.next().await? {
        answer.add(choice, output)?;
    }
    Ok(crate::error::json_response(StatusCode::OK, &answer.whole()))
}

struct Events<A> {
    generation: Generation,
    answer: A,
    ready: VecDeque<String>,
    ended: bool,
}

/// Answers with an event for each part, and `[DONE]` after the last.
pub(crate) fn events(generation: Generation, mut answer: impl Answer) -> Response {
    let ready = answer.begin().iter().map(event).collect();
    let events = Events { generation, answer, ready, ended: false };
    let body = stream::unfold(events, |mut events| async move {
        loop {
            if let Some(event) = events.ready.pop_front() {
                return Some((Ok::<_, Infallible>(event), events));
            }
            if events.ended {
                return None;
            }
            events.advance().await;
        }
    });
    let headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")];
    (headers, Body::from_stream(body)).into_response()
}

impl<A: Answer> Events<A> {
    async fn advance(&mut self) {
        let new = match self.generation.next().await {
            Ok(Some((choice, output))) => self.answer.add(choice, output),
            Ok(None) => {
                self.ended = true;
                Ok(self.answer.end())
            }
            Err(error) => Err(error),
        };
        match new {
            Ok(values) => self.ready.extend(values.iter().map(event)),
            Err(error) => {
                self.ended = true;
                self.ready.push_back(event(&error.body()));
            }
        }
        if self.ended {
            self.ready.push_back("data: [DONE]\n\n".into());
        }
    }
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// The head that chunks and whole answers have in common.
pub(crate) fn head(id: &str, object: &str, created: u64, model: &Arc<str>) -> Value {
    serde_json::json!({ "id": id, "object": object, "created": created, "model": model.as_ref() })
}

/// Adds a field to an object.
pub(crate) fn put(value: &mut Value, name: &str, field: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), field);
    }
}
