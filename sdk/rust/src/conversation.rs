//! Conversations in the spellings that files have: OpenAI's `messages`, ShareGPT's `conversations`, pairs of
//! `{"human": .., "assistant": ..}`. Every function says why a row can't be used; nothing is left out without a word.

use serde_json::Value;

use crate::{Message, Result, Row, Sample, bail};

/// Each role with the names that files have for it.
const ROLES: [(&str, &[&str]); 5] = [
    ("system", &["system"]),
    ("user", &["user", "human"]),
    ("assistant", &["assistant", "gpt", "bot"]),
    ("tool_call", &["tool_call", "function_call", "function-call"]),
    ("tool_response", &["tool_response", "function_response", "observation", "observations", "tool"]),
];

/// Columns for a system message.
pub const SYSTEM_COLUMNS: &[&str] = &["system", "system_prompt"];
/// Columns for what the user says.
pub const QUERY_COLUMNS: &[&str] = &["query", "prompt", "input", "instruction", "question", "problem"];
/// Columns for the answer.
pub const RESPONSE_COLUMNS: &[&str] = &[
    "response",
    "answer",
    "output",
    "targets",
    "target",
    "answer_key",
    "answers",
    "solution",
    "text",
    "completion",
    "content",
];
/// Columns that change what a conversation means and that samples have no place for.
const UNSUPPORTED_COLUMNS: &[&str] =
    &["image", "images", "video", "videos", "audio", "audios", "objects", "tools", "chat_template_kwargs"];

/// A sample of a row whose conversation is `messages`: with the system message of a column of its own, the worse
/// answer if the row has one, and the row's numbers.
///
/// # Errors
/// If the conversation does not end with an answer, or the row has something that samples have no place for.
pub fn sample(row: &Row, messages: Vec<Message>) -> Result<Sample> {
    refuse_unsupported(row)?;
    let messages = finished(with_system(row, messages)?)?;
    let rejected = rejected(row, &messages)?;
    Ok(Sample { rejected, columns: numbers(row), ..Sample::new(messages) })
}

/// As [`sample`], with the conversation that ends with the worse answer.
///
/// # Errors
/// As [`sample`]; and if both answers are the same.
pub fn preference(row: &Row, chosen: Vec<Message>, rejected: Vec<Message>) -> Result<Sample> {
    refuse_unsupported(row)?;
    let messages = finished(with_system(row, chosen)?)?;
    let rejected = finished(with_system(row, rejected)?)?;
    if same(&messages, &rejected) {
        bail!("the chosen and the rejected answer are the same");
    }
    Ok(Sample { rejected: Some(rejected), columns: numbers(row), ..Sample::new(messages) })
}

/// The value of the one column that has one of `names`, whatever its case; nulls don't count. The first name wins over
/// the others.
///
/// # Errors
/// If there are several: one of them would be lost.
pub fn column<'a>(row: &'a Row, names: &[&str]) -> Result<Option<&'a Value>> {
    let known = |name: &str| names.iter().position(|known| known.eq_ignore_ascii_case(name));
    let mut found: Vec<(usize, &String, &Value)> = row
        .iter()
        .filter(|(_, value)| !value.is_null())
        .filter_map(|(name, value)| Some((known(name)?, name, value)))
        .collect();
    found.sort_by_key(|found| found.0);
    match found.as_slice() {
        [] => Ok(None),
        [(_, _, value)] | [(0, _, value), ..] => Ok(Some(value)),
        [(_, first, _), (_, second, _), ..] => {
            bail!(
                "columns `{first}` and `{second}` mean the same; rename one to `{}`",
                names.first().unwrap_or(&"")
            )
        }
    }
}

/// A value as text; numbers too, and a list of one text. `name` is what a message calls it.
///
/// # Errors
/// If it is anything else.
pub fn text(name: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(values) => match values.as_slice() {
            [Value::String(text)] => Ok(text.clone()),
            _ => bail!("{name} is a list of {}, not one text", values.len()),
        },
        _ => bail!("{name} is not text"),
    }
}

/// What comes before the answer, by columns: earlier rounds in `history`, then the question. The question is Alpaca's
/// `instruction` with its `input` on the next line, or one column of [`QUERY_COLUMNS`]: text, or a list of messages.
///
/// # Errors
/// If one of these columns is something else, or several mean the same.
pub fn prompt(row: &Row) -> Result<Vec<Message>> {
    let mut messages = history(row)?;
    if row.contains_key("instruction") && row.contains_key("input") {
        let given =
            |name: &str| column(row, &[name])?.map(|value| text(&format!("`{name}`"), value)).transpose();
        let parts = [given("instruction")?, given("input")?].into_iter().flatten();
        let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        messages.push(Message::new("user", parts.join("\n")));
        return Ok(messages);
    }
    match column(row, QUERY_COLUMNS)? {
        None => {}
        Some(list @ Value::Array(_)) => messages.extend(self::messages(list)?),
        Some(question) => messages.push(Message::new("user", text("the question", question)?)),
    }
    Ok(messages)
}

/// Earlier rounds: a list of questions with their answers, or JSON text of one.
fn history(row: &Row) -> Result<Vec<Message>> {
    let Some(rounds) = column(row, &["history"])? else { return Ok(Vec::new()) };
    let mut messages = Vec::new();
    for round in list("`history`", rounds)? {
        let Some([Value::String(question), Value::String(answer)]) = round.as_array().map(Vec::as_slice)
        else {
            bail!("a round of `history` is not a question and an answer");
        };
        messages.extend([Message::new("user", question), Message::new("assistant", answer)]);
    }
    Ok(messages)
}

/// The elements of a list, or of JSON text that is one.
fn list(name: &str, value: &Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values.clone()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Array(values)) => Ok(values),
            _ => bail!("{name} is text, and not a list in JSON"),
        },
        _ => bail!("{name} is not a list"),
    }
}

/// The messages of a list, or of JSON text that is one.
///
/// # Errors
/// If it is no such list, or one of its elements is no message.
pub fn messages(value: &Value) -> Result<Vec<Message>> {
    let turns = list("the conversation", value)?;
    let turns: Vec<Vec<Message>> = turns.iter().map(turn).collect::<Result<_>>()?;
    Ok(turns.into_iter().flatten().collect())
}

/// One element of a list: a message, or a question with its answer.
fn turn(value: &Value) -> Result<Vec<Message>> {
    let Value::Object(turn) = value else { bail!("a message is not an object") };
    let Some(role) = turn.get("role").or_else(|| turn.get("from")) else { return pair(turn) };
    let Some(role) = role.as_str() else { bail!("the role of a message is not text") };
    let Some((role, _)) = ROLES.into_iter().find(|(_, names)| names.contains(&role)) else {
        bail!("unknown role `{role}`");
    };
    if turn.get("tool_calls").is_some_and(|calls| !is_empty(calls)) {
        bail!("`tool_calls` of a message are not supported");
    }
    let content = content(role, turn.get("content").or_else(|| turn.get("value")).unwrap_or(&Value::Null))?;
    Ok(vec![Message { role: role.to_owned(), content, train: train(turn)?, loss_scale: None }])
}

fn pair(turn: &Row) -> Result<Vec<Message>> {
    let side = |role: &str| {
        let names = ROLES.into_iter().find(|row| row.0 == role).map_or(&[][..], |row| row.1);
        let Some(value) = column(turn, names)? else { bail!("a message has no `role`") };
        Ok(Message::new(role, content(role, value)?))
    };
    Ok(vec![side("user")?, side("assistant")?])
}

/// Text, or the texts of a list of parts.
fn content(role: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => {
            let text = |part: &Value| {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or("unknown");
                match part.get("text").and_then(Value::as_str) {
                    Some(text) if kind == "text" => Ok(text.to_owned()),
                    _ => bail!("content of type `{kind}` is not supported"),
                }
            };
            parts.iter().map(text).collect()
        }
        Value::Null => bail!("a message of role `{role}` has no content"),
        _ => bail!("the content of a message of role `{role}` is not text"),
    }
}

/// Whether a message asks to be trained on: `loss`, or a `loss_scale` of 0 or 1.
fn train(turn: &Row) -> Result<Option<bool>> {
    match (turn.get("loss"), turn.get("loss_scale").and_then(Value::as_f64)) {
        (_, Some(scale)) if scale != 0.0 && scale != 1.0 => {
            bail!("`loss_scale` of a message is {scale}, not 0 or 1")
        }
        (None | Some(Value::Null), scale) => Ok(scale.map(|scale| scale == 1.0)),
        (Some(Value::Bool(train)), scale) => Ok(Some(*train && scale != Some(0.0))),
        _ => bail!("`loss` of a message is not true or false"),
    }
}

/// Puts the system message of a column before a conversation that has none.
fn with_system(row: &Row, mut messages: Vec<Message>) -> Result<Vec<Message>> {
    if messages.first().is_some_and(|message| message.role == "system") {
        return Ok(messages);
    }
    if let Some(system) = column(row, SYSTEM_COLUMNS)? {
        let system = text("the system message", system)?;
        if !system.is_empty() {
            messages.insert(0, Message::new("system", system));
        }
    }
    Ok(messages)
}

/// The conversation itself, if it ends with an answer.
fn finished(messages: Vec<Message>) -> Result<Vec<Message>> {
    match messages.last() {
        None => bail!("the conversation is empty"),
        Some(last) if last.role != "assistant" => bail!("the conversation does not end with an answer"),
        Some(last) if last.content.trim().is_empty() => bail!("the answer is empty"),
        Some(_) => Ok(messages),
    }
}

/// The conversation that ends with the worse answer: `rejected_messages` or `rejected_response`.
fn rejected(row: &Row, chosen: &[Message]) -> Result<Option<Vec<Message>>> {
    let rejected = if let Some(list) = row.get("rejected_messages").filter(|value| !value.is_null()) {
        with_system(row, messages(list)?)?
    } else {
        let Some(response) = row.get("rejected_response") else { return Ok(None) };
        let answer = match response {
            Value::Null => bail!("`rejected_response` is empty"),
            Value::Array(_) => messages(response)?,
            _ => vec![Message::new("assistant", text("`rejected_response`", response)?)],
        };
        let prompt = chosen.split_last().map_or(&[][..], |(_, prompt)| prompt);
        [prompt, &answer].concat()
    };
    let rejected = finished(rejected)?;
    if same(chosen, &rejected) {
        bail!("the chosen and the rejected answer are the same");
    }
    Ok(Some(rejected))
}

fn same(a: &[Message], b: &[Message]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (&a.role, &a.content) == (&b.role, &b.content))
}

/// The row's numeric columns.
/// The columns that losses may ask for.
fn numbers(row: &Row) -> Vec<(String, String)> {
    let is_number = |value: &Value| value.is_number() || value.is_boolean();
    let numbers = row.iter().filter(|(_, value)| is_number(value));
    numbers.map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn refuse_unsupported(row: &Row) -> Result<()> {
    match row.iter().find(|(name, value)| UNSUPPORTED_COLUMNS.contains(&name.as_str()) && !is_empty(value)) {
        Some((name, _)) => bail!("column `{name}` is not supported"),
        None => Ok(()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "[]",
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
