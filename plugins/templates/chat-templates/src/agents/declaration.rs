//! Values as Gemma 4 writes them: bare keys, and strings between tokens of their own.

use serde_json::{Map, Value};

use crate::json::dumps;

/// What a string stands between.
const QUOTE: &str = "<|\"|>";

/// Writes a value.
pub(super) fn write(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{QUOTE}{text}{QUOTE}"),
        Value::Array(values) => format!("[{}]", values.iter().map(write).collect::<Vec<_>>().join(",")),
        Value::Object(_) => format!("{{{}}}", members(value)),
        value => dumps(value),
    }
}

/// Writes the members of an object, in order of their names.
pub(super) fn members(value: &Value) -> String {
    let mut members: Vec<_> = value.as_object().into_iter().flatten().collect();
    members.sort_by_key(|(name, _)| *name);
    let member = |(name, value): (&String, &Value)| format!("{name}:{}", write(value));
    members.into_iter().map(member).collect::<Vec<_>>().join(",")
}

/// Reads a value; none if the text is none.
pub(super) fn read(text: &str) -> Option<Value> {
    let (value, rest) = value(text.trim_start())?;
    rest.trim().is_empty().then_some(value)
}

/// A value, and the text behind it.
fn value(text: &str) -> Option<(Value, &str)> {
    if let Some(rest) = text.strip_prefix(QUOTE) {
        let (string, rest) = rest.split_once(QUOTE)?;
        return Some((Value::String(string.to_owned()), rest));
    }
    if let Some(rest) = text.strip_prefix('{') {
        let (members, rest) = list(rest, '}', |text| {
            let (name, rest) = text.split_once(':')?;
            let (value, rest) = value(rest.trim_start())?;
            Some(((name.trim().to_owned(), value), rest))
        })?;
        return Some((Value::Object(members.into_iter().collect::<Map<_, _>>()), rest));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (values, rest) = list(rest, ']', value)?;
        return Some((Value::Array(values), rest));
    }
    let length = text.find([',', '}', ']']).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(length)?;
    Some((serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.trim().to_owned())), rest))
}

/// Elements between commas, up to `end`, and the text behind it.
fn list<T>(text: &str, end: char, read: impl Fn(&str) -> Option<(T, &str)>) -> Option<(Vec<T>, &str)> {
    let mut elements = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(rest) = rest.strip_prefix(end) {
            return Some((elements, rest));
        }
        let (element, behind) = read(rest)?;
        elements.push(element);
        rest = behind.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({"a": [1, true, "x, }"], "b": {"c": null, "d": {}}});
        let text = write(&value);
        assert_eq!(text, r#"{a:[1,true,<|"|>x, }<|"|>],b:{c:null,d:{}}}"#);
        assert_eq!(read(&text), Some(value));
        assert_eq!(read("{a:"), None);
    }
}
