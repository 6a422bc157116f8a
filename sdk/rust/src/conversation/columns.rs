//! What a row has, by the names that files give it.

use serde_json::Value;

use crate::{Result, Row, bail};

/// Columns for a conversation.
pub const CONVERSATION_COLUMNS: &[&str] = &["messages", "conversations", "conversation"];
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

/// The columns of a row that nobody has taken yet. What is left in the end goes into the sample as it is.
#[derive(Clone, Debug)]
pub struct Columns {
    row: Row,
    /// Images and so on that messages hold themselves, by the column that they belong to.
    media: Row,
}

impl Columns {
    /// All columns of a row.
    pub fn new(row: &Row) -> Self {
        Self { row: row.clone(), media: Row::new() }
    }

    /// Takes the value of the one column that has one of `names`, whatever its case; nulls don't count. The first name wins
    /// over the others, which stay.
    ///
    /// # Errors
    /// If there are several others: one of them would be lost.
    pub fn take(&mut self, names: &[&str]) -> Result<Option<Value>> {
        let place = |name: &str| names.iter().position(|known| known.eq_ignore_ascii_case(name));
        let filled = self.row.iter().filter(|(_, value)| !value.is_null());
        let mut found: Vec<(usize, &String)> =
            filled.filter_map(|(name, _)| Some((place(name)?, name))).collect();
        found.sort_by_key(|found| found.0);
        match found.as_slice() {
            [] => Ok(None),
            [(_, name)] | [(0, name), ..] => {
                let name = (*name).clone();
                Ok(self.row.shift_remove(&name))
            }
            [(_, first), (_, second), ..] => {
                bail!(
                    "columns `{first}` and `{second}` mean the same; rename one to `{}`",
                    names.first().unwrap_or(&"")
                )
            }
        }
    }

    /// The value of the column of exactly this name, if it is there and not taken; it may be null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.row.get(name)
    }

    /// Adds a column, or replaces it.
    pub fn put(&mut self, name: impl Into<String>, value: Value) {
        self.row.insert(name.into(), value);
    }

    /// Adds something that a message holds for a column.
    pub(super) fn put_media(&mut self, name: String, value: Value) {
        if let Value::Array(values) = self.media.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
            values.push(value);
        }
    }

    /// Takes what messages hold for a column.
    pub(super) fn take_media(&mut self, name: &str) -> Option<Value> {
        self.media.shift_remove(name)
    }

    /// What is left and not null, as samples have it.
    pub(super) fn rest(self) -> Vec<(String, String)> {
        let filled = self.row.into_iter().filter(|(_, value)| !value.is_null());
        filled.map(|(name, value)| (name, value.to_string())).collect()
    }
}

/// A value as text; numbers too. `name` is what a message calls it.
///
/// # Errors
/// If it is anything else.
pub fn text(name: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(values) => bail!("{name} is a list of {}, not one text", values.len()),
        _ => bail!("{name} is not text"),
    }
}
