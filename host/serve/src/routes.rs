//! Which request goes where.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::app::{App, Phase};
use crate::error::{ApiError, Result, json_response};
use crate::{adapters, chat, completions, embeddings, models};

/// What is done for a request.
#[derive(Clone, Copy)]
enum Action {
    Chat,
    Completions,
    Embeddings,
    Models,
    Model,
    LoadAdapter,
    UnloadAdapter,
    Health,
    Metrics,
}

/// Method, path and action. A path that ends with `/` is followed by a name.
const ROUTES: [(Method, &str, Action); 9] = [
    (Method::POST, "/v1/chat/completions", Action::Chat),
    (Method::POST, "/v1/completions", Action::Completions),
    (Method::POST, "/v1/embeddings", Action::Embeddings),
    (Method::GET, "/v1/models", Action::Models),
    (Method::GET, "/v1/models/", Action::Model),
    (Method::POST, "/v1/adapters", Action::LoadAdapter),
    (Method::DELETE, "/v1/adapters/", Action::UnloadAdapter),
    (Method::GET, "/health", Action::Health),
    (Method::GET, "/metrics", Action::Metrics),
];

/// Where all requests go.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new().fallback(answer).with_state(app)
}

/// What may be answered before the body of a request was read.
const EARLY: [StatusCode; 6] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::SERVICE_UNAVAILABLE,
];

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let may_have_body = request.method() != Method::GET;
    let found = find(request.method(), &path);
    let route = found.as_ref().map_or("other", |(route, ..)| route);
    let result = match found {
        Ok((_, action, name)) => act(&app, action, name, request).await,
        Err(error) => check_key(&app, &path, request.headers()).and(Err(error)),
    };
    let mut response = result.unwrap_or_else(IntoResponse::into_response);
    if may_have_body && EARLY.contains(&response.status()) {
        // What is left of the body is not read, so the connection can't be used again, which clients should know.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    app.metrics.count(route, response.status().as_u16());
    response
}

/// The route's path, what is done, and the name that follows.
fn find<'a>(method: &Method, path: &'a str) -> Result<(&'static str, Action, &'a str)> {
    let matches = |route: &'static str| match route.strip_suffix('/') {
        Some(_) => path.strip_prefix(route).filter(|name| !name.is_empty()),
        None => (path == route).then_some(""),
    };
    let mut known = ROUTES
        .iter()
        .filter_map(|(method, route, action)| matches(route).map(|name| (method, (*route, *action, name))));
    let Some((first, found)) = known.next() else {
        return Err(ApiError::new(StatusCode::NOT_FOUND, format!("There is no route `{path}`")));
    };
    if first == method {
        return Ok(found);
    }
    let message = format!("`{path}` takes {first}, not {method}");
    Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message))
}

async fn act(app: &Arc<App>, action: Action, name: &str, request: Request) -> Result<Response> {
    let (head, body) = request.into_parts();
    check_key(app, head.uri.path(), &head.headers)?;
    let name = decode(name).ok_or_else(|| ApiError::invalid("The path is not valid UTF-8"))?;
    match action {
        Action::Health if app.phase() == Phase::Serving => Ok(health(app).await),
        Action::Metrics => metrics(app),
        Action::Models => models::list(app).await,
        Action::Model => models::one(app, &name).await,
        _ if app.phase() != Phase::Serving => Err(ApiError::shutting_down()),
        Action::UnloadAdapter => adapters::unload(app, &name).await,
        _ => {
            let body = read(app, &head.headers, body).await?;
            match action {
                Action::Chat => chat::chat(app, &body).await,
                Action::Completions => completions::completions(app, &body).await,
                Action::Embeddings => embeddings::embeddings(app, &body).await,
                _ => adapters::load(app, &body).await,
            }
        }
    }
}

/// The body, which may have so many bytes and take so long.
async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<body::Bytes> {
    let most = app.options.max_body_bytes;
    let message = format!("The request has more than {most} bytes");
    let too_large = || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message.clone());
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > most) {
        return Err(too_large());
    }
    match tokio::time::timeout(app.options.body_timeout, body::to_bytes(body, most)).await {
        Ok(body) => body.map_err(|_| too_large()),
        Err(_) => {
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "The body of the request took too long to arrive"))
        }
    }
}

/// Only who has the key is let in, except to `/health` and `/metrics`.
fn check_key(app: &App, path: &str, headers: &HeaderMap) -> Result<()> {
    let Some(key) = app.options.api_key.as_ref().filter(|_| path.starts_with("/v1/")) else { return Ok(()) };
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    // Digests have one length, and all their bytes are compared, so that time tells nothing of the key.
    let (given, key) = (Sha256::digest(given), Sha256::digest(key));
    let difference = given.iter().zip(key.iter()).fold(0, |sum, (left, right)| sum | (left ^ right));
    match std::hint::black_box(difference) {
        0 => Ok(()),
        _ => {
            let error = ApiError::new(StatusCode::UNAUTHORIZED, "The API key is missing or wrong");
            Err(ApiError { code: Some("invalid_api_key"), ..error })
        }
    }
}

async fn health(app: &App) -> Response {
    let lives = app.generator.adapters().await.is_ok();
    let (status, word) = if lives {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "the engine has ended")
    };
    json_response(status, &json!({ "status": word }))
}

fn metrics(app: &App) -> Result<Response> {
    let text = app.metrics.show(&app.generator.statistics());
    let text = text.map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// A part of a path without percent signs (RFC 3986, section 2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_are_decoded() {
        assert_eq!(decode("a%2Fb%c3%A4").as_deref(), Some("a/b\u{e4}"));
        assert_eq!((decode("%2"), decode("%xx"), decode("%ff")), (None, None, None));
    }

    #[test]
    fn paths_and_methods_that_are_not_known_are_told_apart() {
        let status = |method, path| find(&method, path).err().map(|error| error.status.as_u16());
        assert_eq!(status(Method::GET, "/v1/models"), None);
        assert_eq!(status(Method::GET, "/v1/models/a"), None);
        assert_eq!(status(Method::GET, "/v1/models/"), Some(404));
        assert_eq!(status(Method::GET, "/v1/completions"), Some(405));
        assert_eq!(status(Method::POST, "/"), Some(404));
    }
}
