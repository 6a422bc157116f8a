//! `POST /v1/embeddings`.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use swift_infer::Pooling;

use crate::app::{App, wait};
use crate::error::{ApiError, Result, json_response};
use crate::fields::Fields;
use crate::generation::{check_length, slot};
use crate::prompt::{prompts, truncate};
use crate::sampling::truncate_prompt_tokens;

pub(crate) async fn embeddings(app: &Arc<App>, body: &[u8]) -> Result<Response> {
    let mut fields = Fields::parse(body)?;
    let model: Option<String> = fields.take("model")?;
    if app.adapter(model).await?.is_some() {
        return Err(ApiError::field("model", "must be the served model: adapters do not embed"));
    }
    let mut prompts = prompts(&mut fields, "input", app)?;
    truncate(&mut prompts, truncate_prompt_tokens(&mut fields, app)?);
    prompts.iter().try_for_each(|prompt| check_length(app, prompt))?;
    let encode = encoding(fields.take("encoding_format")?)?;
    let pooling = pooling(fields.take("pooling")?)?;
    let dimensions: Option<usize> = fields.take("dimensions")?;
    fields.finish(&["user"])?;
    let tokens: usize = prompts.iter().map(Vec::len).sum();
    let _slot = slot(app)?;
    let mut data = Vec::with_capacity(prompts.len());
    for (index, prompt) in prompts.into_iter().enumerate() {
        // One at a time, of all requests: the engine goes on with answers in between, and with nothing for a client that has gone.
        let _turn = app.embedding.lock().await;
        let vector = wait(app.generator.embed(prompt, pooling)).await?;
        if let Some(dimensions) = dimensions.filter(|dimensions| *dimensions != vector.len()) {
            let rule = format!("must be {}, which the model has, and not {dimensions}", vector.len());
            return Err(ApiError::field("dimensions", &rule));
        }
        data.push(json!({ "object": "embedding", "index": index, "embedding": encode(&unit(vector)) }));
    }
    let body = json!({
        "object": "list",
        "data": data,
        "model": app.options.model,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    });
    Ok(json_response(StatusCode::OK, &body))
}

fn encoding(name: Option<String>) -> Result<fn(&[f32]) -> Value> {
    match name.as_deref() {
        None | Some("float") => Ok(|vector| json!(vector)),
        Some("base64") => Ok(|vector| {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            STANDARD.encode(bytes).into()
        }),
        Some(_) => Err(ApiError::field("encoding_format", "must be `float` or `base64`")),
    }
}

fn pooling(name: Option<String>) -> Result<Pooling> {
    match name.as_deref() {
        None | Some("last") => Ok(Pooling::Last),
        Some("mean") => Ok(Pooling::Mean),
        Some(_) => Err(ApiError::field("pooling", "must be `last` or `mean`")),
    }
}

/// The vector with the length 1, as OpenAI gives embeddings.
fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
    vector
}
