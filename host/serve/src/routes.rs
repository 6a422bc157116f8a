//! Which request goes where.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::app::{App, Phase};
use crate::error::{ApiError, Result, json_response};
use crate::{adapters, chat, completions, embeddings, models, tokens};

/// What is done for a request.
#[derive(Clone, Copy)]
enum Action {
    Chat,
    Completions,
    Embeddings,
    Models,
    Model,
    Adapters,
    LoadAdapter,
    UnloadAdapter,
    Tokenize,
    Detokenize,
    Health,
    Version,
    Metrics,
}

/// Method, path and action. A path that ends with `/` is followed by a name.
const ROUTES: [(Method, &str, Action); 14] = [
    (Method::POST, "/v1/chat/completions", Action::Chat),
    (Method::POST, "/v1/completions", Action::Completions),
    (Method::POST, "/v1/embeddings", Action::Embeddings),
    (Method::GET, "/v1/models", Action::Models),
    (Method::GET, "/v1/models/", Action::Model),
    (Method::GET, "/v1/adapters", Action::Adapters),
    (Method::POST, "/v1/adapters", Action::LoadAdapter),
    (Method::DELETE, "/v1/adapters/", Action::UnloadAdapter),
    (Method::POST, "/tokenize", Action::Tokenize),
    (Method::POST, "/detokenize", Action::Detokenize),
    (Method::GET, "/health", Action::Health),
    (Method::GET, "/ping", Action::Health),
    (Method::GET, "/version", Action::Version),
    (Method::GET, "/metrics", Action::Metrics),
];

/// What stands before the key.
const BEARER: &[u8] = b"Bearer ";

/// Routes that need no key.
const OPEN: [&str; 4] = ["/health", "/ping", "/version", "/metrics"];

/// A name for a request, which clients may give themselves.
const REQUEST_ID: &str = "x-request-id";
/// The most bytes of such a name.
const LONGEST_REQUEST_ID: usize = 128;

/// Where all requests go.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new().fallback(answer).with_state(app)
}

/// What may be answered before the body of a request was read.
const EARLY: [StatusCode; 7] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::SERVICE_UNAVAILABLE,
];

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let may_have_body = ![Method::GET, Method::HEAD].contains(request.method());
    let request_id = request_id(&app, request.headers());
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
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let methods: Vec<&str> = known(&path).map(|(method, ..)| method.as_str()).collect();
        response
            .headers_mut()
            .extend(header_value(&methods.join(", ")).map(|methods| (header::ALLOW, methods)));
    }
    response.headers_mut().extend(request_id.map(|id| (HeaderName::from_static(REQUEST_ID), id)));
    app.metrics.count(route, response.status().as_u16());
    response
}

/// The name that the client has for its request, or one of the server's.
fn request_id(app: &App, headers: &HeaderMap) -> Option<HeaderValue> {
    let given = headers.get(REQUEST_ID).filter(|id| id.len() <= LONGEST_REQUEST_ID);
    given.cloned().or_else(|| header_value(&app.new_id("req")))
}

fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

/// The methods that a path takes, with its route, what is done, and the name that follows.
fn known(path: &str) -> impl Iterator<Item = (&'static Method, &'static str, Action, &str)> {
    let matches = move |route: &'static str| match route.strip_suffix('/') {
        Some(_) => path.strip_prefix(route).filter(|name| !name.is_empty()),
        None => (path == route).then_some(""),
    };
    ROUTES.iter().filter_map(move |(method, route, action)| Some((method, *route, *action, matches(route)?)))
}

/// The route's path, what is done, and the name that follows.
fn find<'a>(method: &Method, path: &'a str) -> Result<(&'static str, Action, &'a str)> {
    // What is asked for by HEAD is what GET gives, and the server leaves the body out.
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    if let Some((_, route, action, name)) = known(path).find(|(known, ..)| *known == wanted) {
        return Ok((route, action, name));
    }
    let methods: Vec<&str> = known(path).map(|(known, ..)| known.as_str()).collect();
    Err(match methods.is_empty() {
        true => ApiError::new(StatusCode::NOT_FOUND, format!("There is no route `{path}`")),
        false => {
            let message = format!("`{path}` takes {}, not {method}", methods.join(" and "));
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
        }
    })
}

async fn act(app: &Arc<App>, action: Action, name: &str, request: Request) -> Result<Response> {
    let (head, body) = request.into_parts();
    check_key(app, head.uri.path(), &head.headers)?;
    let name = decode(name).ok_or_else(|| ApiError::invalid("The path is not valid UTF-8"))?;
    match action {
        Action::Health if app.phase() == Phase::Serving => Ok(health(app)),
        Action::Version => {
            Ok(json_response(StatusCode::OK, &json!({ "version": env!("CARGO_PKG_VERSION") })))
        }
        Action::Metrics => metrics(app),
        Action::Models => models::list(app).await,
        Action::Model => models::one(app, &name).await,
        _ if app.phase() != Phase::Serving => Err(ApiError::shutting_down()),
        Action::Adapters => adapters::list(app).await,
        Action::UnloadAdapter => adapters::unload(app, &name).await,
        _ => {
            let body = read(app, &head.headers, body).await?;
            match action {
                Action::Chat => chat::chat(app, &body).await,
                Action::Completions => completions::completions(app, &body).await,
                Action::Embeddings => embeddings::embeddings(app, &body).await,
                Action::Tokenize => tokens::tokenize(app, &body).await,
                Action::Detokenize => tokens::detokenize(app, &body),
                _ => adapters::load(app, &body).await,
            }
        }
    }
}

/// The body, which may have so many bytes and take so long.
async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<body::Bytes> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let message = "The body of a request must not be compressed";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
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

/// Only who has the key is let in, except to what tells nothing of the model.
fn check_key(app: &App, path: &str, headers: &HeaderMap) -> Result<()> {
    let Some(key) = app.options.api_key.as_ref().filter(|_| !OPEN.contains(&path)) else { return Ok(()) };
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let (scheme, given) = given.and_then(|value| value.split_at_checked(BEARER.len())).unwrap_or_default();
    let given = if scheme.eq_ignore_ascii_case(BEARER) { given } else { &[] };
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

fn health(app: &App) -> Response {
    let (status, word) = if app.generator.lives() {
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
        assert_eq!(status(Method::HEAD, "/v1/models"), None);
        assert_eq!(status(Method::GET, "/v1/completions"), Some(405));
        assert_eq!(status(Method::HEAD, "/v1/completions"), Some(405));
        assert_eq!(status(Method::POST, "/"), Some(404));
    }
}
