//! The messages of a chat, and what chat templates see of them.

use serde_json::{Map, Value};

use crate::error::{ApiError, Result};

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];

/// Checks messages and gives them in the form that templates know: contents as text, arguments of calls as objects.
pub(crate) fn messages(given: Vec<Value>) -> Result<Vec<Value>> {
    if given.is_empty() {
        return Err(ApiError::field("messages", "must have at least one message"));
    }
    given.into_iter().enumerate().map(|(index, message)| normalise(index, message)).collect()
}

fn normalise(index: usize, message: Value) -> Result<Value> {
    let wrong = |rule: &str| ApiError::field(&format!("messages[{index}]"), rule);
    let Value::Object(mut message) = message else { return Err(wrong("must be an object")) };
    let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !ROLES.contains(&role.as_str()) {
        return Err(wrong("must have a `role`: system, developer, user, assistant or tool"));
    }
    let calls = match message.get_mut("tool_calls") {
        None | Some(Value::Null) => false,
        Some(Value::Array(calls)) => {
            calls.iter_mut().try_for_each(|call| {
                arguments(call).ok_or_else(|| wrong("has a call without a `function` with a `name`"))
            })?;
            !calls.is_empty()
        }
        Some(_) => return Err(wrong("must have a list as `tool_calls`")),
    };
    if role != "assistant" && calls {
        return Err(wrong("has `tool_calls`, but is not the assistant's"));
    }
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(part)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| wrong("has content that is not text, which the model does not take"))?
            .join("\n"),
        None | Some(Value::Null) if role == "assistant" => String::new(),
        _ => return Err(wrong("must have a text or a list of parts as `content`")),
    };
    message.insert("content".into(), text.into());
    Ok(Value::Object(message))
}

fn part(part: &Value) -> Option<&str> {
    match part {
        Value::String(text) => Some(text),
        part if part.get("type")?.as_str()? == "text" => part.get("text")?.as_str(),
        _ => None,
    }
}

/// OpenAI has the arguments of a call as a text with JSON, templates have them as an object.
fn arguments(call: &mut Value) -> Option<()> {
    let function: &mut Map<String, Value> = call.get_mut("function")?.as_object_mut()?;
    function.get("name")?.as_str()?;
    if let Some(Value::String(text)) = function.get("arguments") {
        let parsed =
            if text.is_empty() { Ok(Map::new().into()) } else { serde_json::from_str::<Value>(text) };
        if let Ok(parsed) = parsed {
            function.insert("arguments".into(), parsed);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_see_texts_and_objects() {
        let given = json!([
            { "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
            { "role": "assistant", "content": null,
              "tool_calls": [{ "id": "1", "type": "function", "function": { "name": "f", "arguments": "{\"x\": 1}" } }] },
            { "role": "tool", "content": "3", "tool_call_id": "1" },
        ]);
        let seen = messages(given.as_array().unwrap().clone()).unwrap();
        assert_eq!(seen[0]["content"], "a\nb");
        assert_eq!(seen[1]["content"], "");
        assert_eq!(seen[1]["tool_calls"][0]["function"]["arguments"], json!({ "x": 1 }));
        assert_eq!(seen[2]["tool_call_id"], "1");
    }

    #[test]
    fn messages_that_make_no_sense_are_named() {
        for message in [
            json!("x"),
            json!({ "content": "x" }),
            json!({ "role": "narrator", "content": "x" }),
            json!({ "role": "user" }),
            json!({ "role": "user", "content": [{ "type": "image_url", "image_url": {} }] }),
            json!({ "role": "user", "content": "x", "tool_calls": [{ "function": { "name": "f" } }] }),
            json!({ "role": "assistant", "tool_calls": [{}] }),
        ] {
            let error = messages(vec![message.clone()]).expect_err(&message.to_string());
            assert_eq!(error.param.as_deref(), Some("messages[0]"), "{message}");
        }
        assert!(messages(vec![]).is_err());
    }
}
