//! Errors in the shape that OpenAI's clients know.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use swift_infer::Error;

/// When clients may try again that came when too many others were there.
const RETRY_AFTER_SECONDS: &str = "1";

/// What is answered instead of what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// The field that is wrong.
    pub(crate) param: Option<String>,
    /// A word for programs.
    pub(crate) code: Option<&'static str>,
}

pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// A field that is wrong.
    pub(crate) fn field(name: &str, rule: &str) -> Self {
        let param = Some(name.to_owned());
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, format!("`{name}` {rule}")) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unknown_model(name: &str) -> Self {
        let message = format!("There is no model `{name}`");
        let (param, code) = (Some("model".into()), Some("model_not_found"));
        Self { param, code, ..Self::new(StatusCode::NOT_FOUND, message) }
    }

    pub(crate) fn shutting_down() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down")
    }

    pub(crate) fn overloaded(message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, message);
        Self { code: Some("rate_limit_exceeded"), ..error }
    }

    pub(crate) fn body(&self) -> Value {
        let Self { status, message, param, code } = self;
        let kind = match status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            503 => "service_unavailable_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }
}

impl From<&Error> for ApiError {
    fn from(error: &Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Grammar(_) | Error::TooFewAnswers { .. } => Self::invalid(message),
            Error::Option { name, .. } => Self { param: Some((*name).to_owned()), ..Self::invalid(message) },
            Error::PromptTooLong { .. } => {
                Self { code: Some("context_length_exceeded"), ..Self::invalid(message) }
            }
            Error::UnknownAdapter(name) => Self::unknown_model(name),
            Error::AdapterUnloaded(_) => {
                Self { param: Some("model".into()), ..Self::new(StatusCode::CONFLICT, message) }
            }
            Error::AdapterExists(_) => Self::field("name", "is taken by an adapter that is there already"),
            Error::QueueFull(_) => Self::overloaded(message),
            _ => {
                tracing::error!("the engine failed: {message}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
            }
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.body());
        let told = match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, RETRY_AFTER_SECONDS)),
            _ => None,
        };
        if let Some((name, value)) = told {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// An answer as JSON.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}
