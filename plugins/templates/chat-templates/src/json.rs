//! JSON as Python writes it, which is what models have been trained on.

use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// `json.dumps(value, ensure_ascii=False)`: on one line, with a space after commas and colons.
pub(crate) fn dumps(value: &Value) -> String {
    write(value, Spaced)
}

/// `json.dumps(value, ensure_ascii=False, indent=4)`.
pub(crate) fn dumps_indented(value: &Value) -> String {
    write(value, PrettyFormatter::with_indent(b"    "))
}

fn write(value: &Value, formatter: impl Formatter) -> String {
    let mut text = Vec::new();
    match value.serialize(&mut Serializer::with_formatter(&mut text, formatter)) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        // A value always has a text.
        Err(_) => value.to_string(),
    }
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// The text of a string as it is, of anything else as JSON.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| dumps(value), str::to_owned)
}

/// `repr(value)`: some formats show a dictionary as Python prints it.
pub(crate) fn repr(value: &Value) -> String {
    let list = |values: Vec<String>| values.join(", ");
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => format!("[{}]", list(values.iter().map(repr).collect())),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| format!("{}: {}", quoted(name), repr(value));
            format!("{{{}}}", list(members.iter().map(member).collect()))
        }
    }
}

/// A string in single quotes, or in double ones if that saves escapes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut result = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            '\\' => result.push_str("\\\\"),
            letter if letter == quote => result.extend(['\\', letter]),
            letter => result.push(letter),
        }
    }
    result.push(quote);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_has_spaces_and_no_escapes_of_letters() {
        let value = json!({"a": [1, 2.5, "é\n"], "b": {}, "c": null});
        assert_eq!(dumps(&value), r#"{"a": [1, 2.5, "é\n"], "b": {}, "c": null}"#);
        assert_eq!(dumps_indented(&json!({"a": [1]})), "{\n    \"a\": [\n        1\n    ]\n}");
    }

    #[test]
    fn a_dictionary_looks_as_python_prints_it() {
        let value = json!({"a": true, "b": [null, "it's", "\"it's\""]});
        assert_eq!(repr(&value), r#"{'a': True, 'b': [None, "it's", '"it\'s"']}"#);
    }
}
