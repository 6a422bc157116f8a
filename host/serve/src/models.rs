//! `GET /v1/models` and `GET /v1/models/{name}`.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::app::{App, wait};
use crate::error::{ApiError, Result, json_response};

pub(crate) async fn list(app: &Arc<App>) -> Result<Response> {
    let models = models(app).await?;
    Ok(json_response(StatusCode::OK, &json!({ "object": "list", "data": models })))
}

pub(crate) async fn one(app: &Arc<App>, name: &str) -> Result<Response> {
    let mut models = models(app).await?.into_iter();
    let model = models.find(|model| model.get("id").and_then(Value::as_str) == Some(name));
    Ok(json_response(StatusCode::OK, &model.ok_or_else(|| ApiError::unknown_model(name))?))
}

async fn models(app: &App) -> Result<Vec<Value>> {
    let adapters = wait(app.generator.adapters()).await?;
    let served = &app.options.model;
    let names = [(served, None)].into_iter().chain(adapters.iter().map(|name| (name, Some(served))));
    let models = names.map(|(name, parent)| {
        json!({
            "id": name,
            "object": "model",
            "created": app.started,
            "owned_by": "swift-host",
            "root": served,
            "parent": parent,
            "max_model_len": app.context_length,
        })
    });
    Ok(models.collect())
}
