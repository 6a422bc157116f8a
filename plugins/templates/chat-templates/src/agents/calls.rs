//! Calls of tools, written by the model.

use serde_json::{Map, Value};
use swift_plugin::{Result, bail};

use super::{Agent, declaration, elements};
use crate::json::{dumps, plain, repr};
use crate::segments::fill;

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The tool.
    pub(crate) name: String,
    /// What it is called with, by name.
    pub(crate) arguments: Value,
}

impl Call {
    /// The call that a message of role `tool_call` is: `{"name": .., "arguments": {..}}`.
    pub(crate) fn from_json(text: &str) -> Result<Self> {
        let Ok(Value::Object(call)) = serde_json::from_str(text) else {
            bail!("a tool call is not a JSON object")
        };
        let Some(Value::String(name)) = call.get("name") else { bail!("a tool call has no `name`") };
        let arguments = call.get("arguments").or_else(|| call.get("parameters")).cloned();
        // Some files have the arguments as JSON text, as servers send them.
        let arguments = match arguments {
            Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            other => other.unwrap_or_else(|| Value::Object(Map::new())),
        };
        Ok(Self { name: name.clone(), arguments })
    }
}

impl Agent {
    /// Calls as the model writes them, without the gap before them.
    pub(crate) fn write_calls(&self, calls: &[Call]) -> Result<String> {
        let written: Vec<String> = calls
            .iter()
            .enumerate()
            .map(|(index, call)| self.write_call(index, call))
            .collect::<Result<_>>()?;
        Ok(format!("{}{}{}", self.before_calls, written.join(&self.call_separator), self.after_calls))
    }

    fn write_call(&self, index: usize, call: &Call) -> Result<String> {
        let arguments = match &call.arguments {
            Value::Object(members) => {
                members.iter().map(|(key, value)| self.write_argument(key, value)).collect()
            }
            _ if !self.argument.is_empty() => bail!("the arguments of a tool call are not a JSON object"),
            _ => String::new(),
        };
        Ok(fill(&self.call, |place| {
            Some(match place {
                "ARGUMENTS" => arguments.clone(),
                "arguments" => dumps(&call.arguments),
                "arguments_repr" => repr(&call.arguments),
                "members_declaration" => declaration::members(&call.arguments),
                _ => return call_place(place, index, call),
            })
        }))
    }

    fn write_argument(&self, key: &str, value: &Value) -> String {
        fill(&self.argument, |place| {
            Some(match place {
                "key" => key.to_owned(),
                "value" => plain(value),
                "value_elements" => elements::write(value),
                "type" => json_type(value).to_owned(),
                "is_string" => value.is_string().to_string(),
                _ => return None,
            })
        })
    }

    /// The text before calls, with the gap to them.
    pub(crate) fn text_before_calls(&self, text: &str) -> String {
        let kept = if self.trim_text { text.trim_end() } else { text };
        let gap = if self.gap_once && kept.ends_with(&self.gap) { "" } else { &self.gap };
        format!("{kept}{gap}")
    }

    /// What calls without a text before them begin with.
    pub(crate) fn gap_without_text(&self) -> &str {
        &self.gap_without_text
    }
}

/// What both a call and its result may say of the call.
pub(super) fn call_place(place: &str, index: usize, call: &Call) -> Option<String> {
    match place {
        "name" => Some(call.name.clone()),
        "index" => Some(index.to_string()),
        "number" => Some((index + 1).to_string()),
        _ => None,
    }
}

/// The name that JSON schemas have for the type of a value.
fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
