//! Calls of tools, read back from what a model says: the texts with places that write a call are also what finds it.

use serde_json::{Map, Value};

use super::pattern::{Captured, Pattern};
use super::{Agent, declaration, elements};
use crate::json::dumps;

/// A call that a model makes: the tool, and its arguments in JSON, or as they stand if they are none.
pub(crate) type ReadCall = (String, String);

impl Agent {
    /// The text before the calls, and the calls.
    pub(crate) fn read_calls<'a>(&self, answer: &'a str) -> (&'a str, Vec<ReadCall>) {
        let found =
            if self.call.contains("{\"name\"") { self.json_calls(answer) } else { self.framed_calls(answer) };
        let Some((start, _)) = found.first() else { return (answer, Vec::new()) };
        let before = answer.get(..*start).unwrap_or(answer);
        let opening = Some(self.before_calls.trim()).filter(|opening| !opening.is_empty());
        let before = opening.and_then(|opening| before.trim_end().strip_suffix(opening)).unwrap_or(before);
        (before, found.into_iter().map(|(_, call)| call).collect())
    }

    /// Objects with a `name` and `arguments`, each behind the text that opens a call.
    fn json_calls(&self, answer: &str) -> Vec<(usize, ReadCall)> {
        let opening = self.call.split('{').next().unwrap_or_default().trim();
        let opening = if opening.is_empty() { "{" } else { opening };
        let mut calls = Vec::new();
        let mut from = 0;
        while let Some(start) =
            answer.get(from..).and_then(|rest| rest.find(opening)).map(|found| found + from)
        {
            let object = start + opening.trim_end_matches('{').len();
            from = start + opening.len();
            let rest = answer.get(object..).unwrap_or_default();
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let Some(Ok(call)) = values.next() else { continue };
            let arguments = call.get("arguments").or_else(|| call.get("parameters"));
            let (Some(name), Some(arguments)) = (call.get("name").and_then(Value::as_str), arguments) else {
                continue;
            };
            from = object + values.byte_offset();
            calls.push((start, (name.to_owned(), dumps(arguments))));
        }
        calls
    }

    /// Calls in texts of their own.
    fn framed_calls(&self, answer: &str) -> Vec<(usize, ReadCall)> {
        let argument = Pattern::new(&self.argument, &[]);
        let call = Pattern::new(&self.call, &[&self.call_separator, &self.after_calls, argument.opening()]);
        let mut calls = Vec::new();
        let mut from = 0;
        while let Some(captured) = call.find(answer, from) {
            from = captured.end;
            calls.extend(self.read_call(&captured, &argument).map(|call| (captured.start, call)));
            if call.opening().is_empty() {
                // The next call is where this one's separator is.
                let next = answer.get(from..).and_then(|rest| rest.strip_prefix(&*self.call_separator));
                let Some(rest) = next else { break };
                from = answer.len() - rest.len();
            }
        }
        calls
    }

    fn read_call(&self, captured: &Captured<'_>, argument: &Pattern<'_>) -> Option<ReadCall> {
        let name = captured.value("name")?.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let arguments = if let Some(text) = captured.value("ARGUMENTS") {
            dumps(&Value::Object(self.read_arguments(text, argument)))
        } else if let Some(text) = captured.value("members_declaration") {
            dumps(&declaration::read(&format!("{{{text}}}"))?)
        } else {
            let text = captured.value("arguments").or_else(|| captured.value("arguments_repr"))?.trim();
            // Where nothing opens a call, two lines of text are one only if the second looks like arguments.
            if self.call.starts_with("{{") && !text.starts_with('{') {
                return None;
            }
            serde_json::from_str(text).map_or_else(|_| text.to_owned(), |value| dumps(&value))
        };
        Some((name.to_owned(), arguments))
    }

    fn read_arguments(&self, text: &str, argument: &Pattern<'_>) -> Map<String, Value> {
        let mut arguments = Map::new();
        let mut from = 0;
        while let Some(captured) = argument.find(text, from) {
            from = captured.end;
            let Some(key) = captured.value("key") else { continue };
            let value = match captured.value("value_elements") {
                Some(text) => elements::read(text),
                None => self.read_value(&captured),
            };
            arguments.insert(key.trim().to_owned(), value);
        }
        arguments
    }

    fn read_value(&self, captured: &Captured<'_>) -> Value {
        let text = captured.value("value").unwrap_or_default();
        let is_string =
            captured.value("is_string") == Some("true") || captured.value("type") == Some("string");
        let typed = if self.typed_values && !is_string { serde_json::from_str(text).ok() } else { None };
        typed.unwrap_or_else(|| Value::String(text.to_owned()))
    }
}
