//! The elements of a list of messages, in the spellings of OpenAI, Anthropic and ShareGPT.

use serde_json::{Value, json};

use super::list;
use crate::{Error, Message, Result, Row, bail};

/// Each role with the names that files have for it; `-` in them is `_`.
const ROLES: [(&str, &[&str]); 5] = [
    ("system", &["system"]),
    ("user", &["user", "human"]),
    ("assistant", &["assistant", "gpt", "bot"]),
    ("tool_call", &["tool_call", "function_call"]),
    ("tool_response", &["tool_response", "function_response", "observation", "observations", "tool"]),
];

/// Each type of a part that is no text, with the mark that stands for it in the text and the column that it goes to.
const MEDIA: [(&str, &str, &str); 7] = [
    ("image", "<image>", "images"),
    ("image_url", "<image>", "images"),
    ("video", "<video>", "videos"),
    ("video_url", "<video>", "videos"),
    ("audio", "<audio>", "audios"),
    ("audio_url", "<audio>", "audios"),
    ("input_audio", "<audio>", "audios"),
];

/// A conversation, and what it holds besides text.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turns: Vec<Turn>,
    /// Identifiers of the tool calls so far.
    calls: Vec<String>,
    /// Column and value of each image, video and piece of sound, in order.
    pub(super) media: Vec<(&'static str, Value)>,
}

#[derive(Debug)]
struct Turn {
    message: Message,
    /// For the result of a call: which call it answers.
    answers: Option<usize>,
}

impl Turns {
    /// Reads a list, or text that is one.
    pub(super) fn read(value: &Value) -> Result<Self> {
        let mut turns = Self::default();
        list("the conversation", value)?.iter().try_for_each(|turn| turns.add(turn))?;
        Ok(turns)
    }

    /// The messages. Results that follow each other come in the order of their calls, since messages don't name them.
    pub(super) fn messages(mut self) -> Vec<Message> {
        for results in
            self.turns.chunk_by_mut(|left, right| left.answers.is_some() && right.answers.is_some())
        {
            results.sort_by_key(|result| result.answers);
        }
        self.turns.into_iter().map(|turn| turn.message).collect()
    }

    /// Adds one element of a list: a message, or a question with its answer.
    fn add(&mut self, value: &Value) -> Result<()> {
        let Value::Object(turn) = value else { bail!("a message is not an object") };
        let Some(role) = turn.get("role").or_else(|| turn.get("from")) else { return self.add_pair(turn) };
        let Some(name) = role.as_str() else { bail!("the role of a message is not text") };
        let Some(role) = standard(name) else { bail!("unknown role `{name}`") };
        let message = Message { role: role.into(), content: String::new(), ..flags(turn)? };
        let content = turn.get("content").or_else(|| turn.get("value")).unwrap_or(&Value::Null);
        let calls = match turn.get("tool_calls") {
            None | Some(Value::Null) => Vec::new(),
            Some(calls) => list("`tool_calls`", calls)?,
        };
        match content {
            Value::Null if !calls.is_empty() => {}
            Value::String(text) if !calls.is_empty() && text.is_empty() => {}
            Value::Array(parts) if role != "tool_response" => {
                self.add_parts(&message, parts, calls.is_empty())?
            }
            content => {
                let content = text(role, content)?;
                let answers = self.place(turn.get("tool_call_id"));
                self.turns.push(Turn { message: Message { content, ..message.clone() }, answers });
            }
        }
        for call in &calls {
            let function = call.get("function").unwrap_or(call);
            self.add_call(&message, call.get("id"), function.get("name"), function.get("arguments"))?;
        }
        Ok(())
    }

    fn add_pair(&mut self, turn: &Row) -> Result<()> {
        for role in ["user", "assistant"] {
            let content = turn.iter().find(|(name, _)| standard(name) == Some(role));
            let Some((_, content)) = content else { bail!("a message has no `role`") };
            self.turns.push(Turn { message: Message::new(role, text(role, content)?), answers: None });
        }
        Ok(())
    }

    /// Adds a message whose content is a list of parts. Calls and results among them become messages of their own, in
    /// their place; `even_empty` makes a message of no parts.
    fn add_parts(&mut self, message: &Message, parts: &[Value], even_empty: bool) -> Result<()> {
        let before = self.turns.len();
        let mut content = String::new();
        for part in parts {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("unknown");
            let media = MEDIA.into_iter().find(|(known, ..)| *known == kind);
            match (kind, media, part.get("text").and_then(Value::as_str)) {
                ("text", _, Some(text)) => content.push_str(text),
                (_, Some((_, mark, column)), _) => {
                    content.push_str(mark);
                    // Without a value it is in a column of the row.
                    self.media.extend(source(part, kind).map(|value| (column, value)));
                }
                ("tool_use", ..) => {
                    self.flush(message, &mut content);
                    self.add_call(message, part.get("id"), part.get("name"), part.get("input"))?;
                }
                ("tool_result", ..) => {
                    self.flush(message, &mut content);
                    let answers = self.place(part.get("tool_use_id"));
                    let content = text("tool_response", part.get("content").unwrap_or(&Value::Null))?;
                    self.turns.push(Turn { message: Message::new("tool_response", content), answers });
                }
                _ => bail!("content of type `{kind}` is not supported"),
            }
        }
        if self.turns.len() == before && even_empty && content.is_empty() {
            self.turns.push(Turn { message: message.clone(), answers: None });
        }
        self.flush(message, &mut content);
        Ok(())
    }

    /// Adds what has been said so far, if anything.
    fn flush(&mut self, message: &Message, content: &mut String) {
        if !content.is_empty() {
            let content = std::mem::take(content);
            self.turns.push(Turn { message: Message { content, ..message.clone() }, answers: None });
        }
    }

    /// Adds a call, trained on as the message that makes it.
    fn add_call(
        &mut self,
        message: &Message,
        id: Option<&Value>,
        name: Option<&Value>,
        arguments: Option<&Value>,
    ) -> Result<()> {
        let Some(name) = name.and_then(Value::as_str) else { bail!("a tool call has no name") };
        let arguments = match arguments {
            None | Some(Value::Null) => json!({}),
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            Some(arguments) => arguments.clone(),
        };
        self.calls.push(id.and_then(Value::as_str).unwrap_or_default().to_owned());
        let content = json!({"name": name, "arguments": arguments}).to_string();
        let message = Message { role: "tool_call".into(), content, ..message.clone() };
        self.turns.push(Turn { message, answers: None });
        Ok(())
    }

    /// Which call an identifier is of.
    fn place(&self, id: Option<&Value>) -> Option<usize> {
        let id = id?.as_str()?;
        self.calls.iter().rposition(|call| call == id)
    }
}

/// The role that a name stands for.
fn standard(name: &str) -> Option<&'static str> {
    let name = name.replace('-', "_");
    ROLES.into_iter().find(|(_, names)| names.contains(&name.as_str())).map(|(role, _)| role)
}

/// A message's text. Calls and results may be objects, whose JSON it is; results may be lists of texts.
fn text(role: &str, content: &Value) -> Result<String> {
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Object(_) if role.starts_with("tool_") => Ok(content.to_string()),
        Value::Array(parts) if role == "tool_response" => {
            let text = |part: &Value| Some(part.get("text")?.as_str()?.to_owned());
            parts
                .iter()
                .map(text)
                .collect::<Option<_>>()
                .ok_or_else(|| Error::new("the result of a tool is not text"))
        }
        Value::Null => bail!("a message of role `{role}` has no content"),
        _ => bail!("the content of a message of role `{role}` is not text"),
    }
}

/// The path, address or data of an image, a video or sound.
fn source(part: &Value, kind: &str) -> Option<Value> {
    let value = part.get(kind).or_else(|| part.get("source"))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    match (value, text("url"), text("data")) {
        (Value::Null, ..) => None,
        (_, Some(address), _) => Some(json!(address)),
        (_, _, Some(data)) => {
            let kind = text("media_type").or_else(|| text("format")).unwrap_or_default();
            Some(json!(format!("data:{kind};base64,{data}")))
        }
        _ => Some(value.clone()),
    }
}

/// A message that says nothing but whether and how much to train on it.
fn flags(turn: &Row) -> Result<Message> {
    let loss_scale = turn.get("loss_scale").and_then(Value::as_f64);
    let train = match turn.get("loss") {
        // A factor alone says so, too.
        None | Some(Value::Null) => loss_scale.map(|scale| scale != 0.0),
        Some(Value::Bool(train)) => Some(*train),
        Some(Value::Number(train)) => Some(train.as_f64() != Some(0.0)),
        Some(_) => bail!("`loss` of a message is not true or false"),
    };
    Ok(Message { train, loss_scale, ..Message::new("", "") })
}
