//! Conversations in the spellings that files have: OpenAI's `messages`, Anthropic's content blocks, ShareGPT's
//! `conversations`, pairs of `{"human": .., "assistant": ..}`, questions and answers in columns. Every function says why a
//! row can't be used; nothing is left out without a word.

mod columns;
mod literal;
mod shapes;
mod turns;

use serde_json::Value;

use crate::{Message, Result, Sample, bail};

pub use columns::{CONVERSATION_COLUMNS, Columns, QUERY_COLUMNS, RESPONSE_COLUMNS, SYSTEM_COLUMNS, text};
use turns::Turns;

/// The value of the Python literal that a text begins with, made of lists, tuples, dictionaries, texts, numbers, `None`, `True`
/// and `False`, and what follows it. None if it begins with no such thing.
///
/// ```
/// use serde_json::json;
///
/// let (value, rest) = swift_plugin::conversation::literal("{'a': (1, None)}, b").unwrap();
/// assert_eq!((value, rest), (json!({"a": [1, null]}), ", b"));
/// ```
pub fn literal(text: &str) -> Option<(Value, &str)> {
    literal::beginning(text)
}

/// A sample of a row whose conversation is `messages`: with the system message, the worse answer and the texts to compare
/// with, where columns hold them, and whatever else is left in the row.
///
/// # Errors
/// If the conversation is empty, both answers are the same, or one of these columns is something else.
pub fn sample(mut columns: Columns, messages: Vec<Message>) -> Result<Sample> {
    let system = system(&mut columns)?;
    let messages = with_system(system.as_ref(), messages);
    let rejected = rejected(&mut columns, &messages)?;
    finish(columns, messages, rejected.map(|messages| with_system(system.as_ref(), messages)))
}

/// As [`sample`], with the conversation that ends with the worse answer.
///
/// # Errors
/// As [`sample`].
pub fn preference(mut columns: Columns, chosen: Vec<Message>, rejected: Vec<Message>) -> Result<Sample> {
    let system = system(&mut columns)?;
    let [chosen, rejected] = [chosen, rejected].map(|messages| with_system(system.as_ref(), messages));
    finish(columns, chosen, Some(rejected))
}

fn finish(mut columns: Columns, messages: Vec<Message>, rejected: Option<Vec<Message>>) -> Result<Sample> {
    if messages.is_empty() || rejected.as_ref().is_some_and(Vec::is_empty) {
        bail!("the conversation is empty");
    }
    let said = |messages: &[Message]| -> Vec<(String, String)> {
        messages.iter().map(|message| (message.role.clone(), message.content.clone())).collect()
    };
    if rejected.as_ref().is_some_and(|rejected| said(rejected) == said(&messages)) {
        bail!("the chosen and the rejected answer are the same");
    }
    let positives = conversations(&mut columns, "positive_messages")?;
    let negatives = conversations(&mut columns, "negative_messages")?;
    shapes::standardize(&mut columns)?;
    Ok(Sample { messages, rejected, positives, negatives, columns: columns.rest() })
}

/// What comes before the answer, by columns: earlier rounds in `history`, then the question. The question is Alpaca's
/// `instruction` with its `input` on the next line, or one column of [`QUERY_COLUMNS`]: text, or a list of messages.
///
/// # Errors
/// If one of these columns is something else, or several mean the same.
pub fn prompt(columns: &mut Columns) -> Result<Vec<Message>> {
    let mut messages = history(columns)?;
    if columns.get("instruction").is_some() && columns.get("input").is_some() {
        let mut part = |name: &str| match columns.take(&[name])? {
            None => Ok(String::new()),
            Some(value) => text(&format!("`{name}`"), &value),
        };
        let parts = [part("instruction")?, part("input")?];
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        messages.push(Message::new("user", parts.join("\n")));
        return Ok(messages);
    }
    match columns.take(QUERY_COLUMNS)? {
        None => {}
        Some(list @ Value::Array(_)) => messages.extend(self::messages(columns, &list)?),
        Some(question) => messages.push(Message::new("user", text("the question", &question)?)),
    }
    Ok(messages)
}

/// The messages of a list, or of text that is one. Images, videos and sound among them go to their columns.
///
/// # Errors
/// If it is no such list, or one of its elements is no message.
pub fn messages(columns: &mut Columns, value: &Value) -> Result<Vec<Message>> {
    read(columns, value, "")
}

/// As [`messages`], for the conversation that ends with the worse answer, which has columns of its own.
///
/// # Errors
/// As [`messages`].
pub fn rejected_messages(columns: &mut Columns, value: &Value) -> Result<Vec<Message>> {
    read(columns, value, "rejected_")
}

/// Messages, with `prefix` before the names of the columns for what is not text.
fn read(columns: &mut Columns, value: &Value, prefix: &str) -> Result<Vec<Message>> {
    let mut turns = Turns::read(value)?;
    for (name, value) in std::mem::take(&mut turns.media) {
        columns.put_media(format!("{prefix}{name}"), value);
    }
    Ok(turns.messages())
}

/// Earlier rounds: a list of questions with their answers, or text of one. Either may be null.
fn history(columns: &mut Columns) -> Result<Vec<Message>> {
    let Some(rounds) = columns.take(&["history"])? else { return Ok(Vec::new()) };
    let mut messages = Vec::new();
    for round in list("`history`", &rounds)? {
        let Some([question, answer]) = round.as_array().map(Vec::as_slice) else {
            bail!("a round of `history` is not a question and an answer");
        };
        for (role, said) in [("user", question), ("assistant", answer)] {
            if !said.is_null() {
                messages.push(Message::new(role, text("what is said in `history`", said)?));
            }
        }
    }
    Ok(messages)
}

/// The elements of a list, or of text that is one in JSON or as Python prints it.
fn list(name: &str, value: &Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values.clone()),
        Value::String(text) => match literal::parse(text) {
            Some(Value::Array(values)) => Ok(values),
            _ => bail!("{name} is text, and not a list in JSON or Python"),
        },
        _ => bail!("{name} is not a list"),
    }
}

/// Conversations to compare with: a list of them, or one.
fn conversations(columns: &mut Columns, name: &str) -> Result<Vec<Vec<Message>>> {
    let Some(value) = columns.take(&[name])? else { return Ok(Vec::new()) };
    let conversations = match list(&format!("`{name}`"), &value)? {
        messages if messages.first().is_some_and(Value::is_object) => vec![Value::Array(messages)],
        conversations => conversations,
    };
    let read = |conversation: &Value| {
        let turns = Turns::read(conversation)?;
        if !turns.media.is_empty() {
            bail!("`{name}` holds more than text; what is no text belongs into a column of its own");
        }
        match turns.messages() {
            messages if messages.is_empty() => bail!("a conversation of `{name}` is empty"),
            messages => Ok(messages),
        }
    };
    conversations.iter().map(read).collect()
}

/// The system message of a column.
fn system(columns: &mut Columns) -> Result<Option<Message>> {
    let Some(system) = columns.take(SYSTEM_COLUMNS)? else { return Ok(None) };
    let system = text("the system message", &system)?;
    Ok((!system.is_empty()).then(|| Message::new("system", system)))
}

/// Puts a system message before a conversation that has none.
fn with_system(system: Option<&Message>, mut messages: Vec<Message>) -> Vec<Message> {
    if let Some(system) = system
        && messages.first().is_some_and(|message| message.role != "system")
    {
        messages.insert(0, system.clone());
    }
    messages
}

/// The conversation that ends with the worse answer: `rejected_messages`, or `rejected_response` in place of the better one.
fn rejected(columns: &mut Columns, chosen: &[Message]) -> Result<Option<Vec<Message>>> {
    if let Some(list) = columns.take(&["rejected_messages"])? {
        return Ok(Some(rejected_messages(columns, &list)?));
    }
    if columns.get("rejected_response") == Some(&Value::Null) {
        bail!("`rejected_response` is empty");
    }
    let answer = match columns.take(&["rejected_response"])? {
        None => return Ok(None),
        Some(list @ Value::Array(_)) => rejected_messages(columns, &list)?,
        Some(answer) => vec![Message::new("assistant", text("`rejected_response`", &answer)?)],
    };
    let prompt = match chosen.split_last() {
        Some((last, prompt)) if last.role == "assistant" => prompt,
        _ => chosen,
    };
    Ok(Some([prompt, &answer].concat()))
}
