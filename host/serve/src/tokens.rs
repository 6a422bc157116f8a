//! `POST /tokenize` and `POST /detokenize`, as vLLM has them.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use swift_data::Tokenizer;

use crate::app::App;
use crate::chat::Conversation;
use crate::error::{ApiError, Result, json_response};
use crate::fields::Fields;
use crate::prompt::prompts;

/// The tokens of a text, or of the prompt that a conversation becomes.
pub(crate) async fn tokenize(app: &Arc<App>, body: &[u8]) -> Result<Response> {
    let mut fields = Fields::parse(body)?;
    fields.take::<String>("model")?;
    let shows_texts = fields.flag("return_token_strs")?;
    let tokens = match fields.take::<Vec<Value>>("messages")? {
        Some(messages) => {
            let tools = fields.take("tools")?;
            let conversation = Conversation::read(&mut fields, messages)?;
            fields.finish(&[])?;
            conversation.prompt(app, tools).await?
        }
        None => {
            let prompts = prompts(&mut fields, "prompt", app)?;
            fields.finish(&[])?;
            let [tokens] = <[Vec<u32>; 1]>::try_from(prompts)
                .map_err(|_| ApiError::field("prompt", "must be one text"))?;
            tokens
        }
    };
    let texts = match shows_texts {
        true => {
            let tokenizer = tokenizer(app)?;
            let text = |token: &u32| tokenizer.text(&[*token], false);
            json!(tokens.iter().map(text).collect::<Result<Vec<_>, _>>().map_err(swift_infer::Error::from)?)
        }
        false => Value::Null,
    };
    let body = json!({
        "count": tokens.len(), "max_model_len": app.context_length, "tokens": tokens, "token_strs": texts,
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// The text of tokens.
pub(crate) fn detokenize(app: &App, body: &[u8]) -> Result<Response> {
    let mut fields = Fields::parse(body)?;
    fields.take::<String>("model")?;
    let tokens: Vec<u32> = fields.need("tokens")?;
    fields.finish(&[])?;
    let text = tokenizer(app)?.decode(&tokens).map_err(swift_infer::Error::from)?;
    Ok(json_response(StatusCode::OK, &json!({ "prompt": text })))
}

fn tokenizer(app: &App) -> Result<&Tokenizer> {
    app.tokenizer.as_ref().ok_or_else(|| ApiError::invalid("The model's folder has no tokeniser"))
}
