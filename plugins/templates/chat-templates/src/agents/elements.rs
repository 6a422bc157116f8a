//! Values as MiniMax M3 writes them: an element for each member, `item` for those of a list.

use serde_json::{Map, Value};

use crate::json::plain;

/// What stands before every element.
const MARK: &str = "]<]minimax[>[";
/// The name of a list's elements.
const ITEM: &str = "item";

/// Writes a value.
pub(super) fn write(value: &Value) -> String {
    let element = |name: &str, value: &Value| format!("{MARK}<{name}>{}{MARK}</{name}>", write(value));
    match value {
        Value::Array(values) => values.iter().map(|value| element(ITEM, value)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| element(name, value)).collect(),
        value => plain(value),
    }
}

/// Reads a value; whatever has no elements is JSON, or else text.
pub(super) fn read(text: &str) -> Value {
    let mut members: Vec<(&str, Value)> = Vec::new();
    let mut rest = text;
    while let Some((name, inside, behind)) = element(rest) {
        members.push((name, read(inside)));
        rest = behind;
    }
    if members.is_empty() {
        return serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    }
    if members.iter().all(|(name, _)| *name == ITEM) {
        return members.into_iter().map(|(_, value)| value).collect();
    }
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// The first element: its name, what is in it, and what is behind it.
fn element(text: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = text.split_once(MARK)?;
    let (name, rest) = rest.strip_prefix('<')?.split_once('>')?;
    let [opening, closing] = [format!("{MARK}<{name}>"), format!("{MARK}</{name}>")];
    // An element may have one of its own name in it.
    let mut end = 0;
    loop {
        let found = rest.get(end..)?.find(&closing)? + end;
        let inside = rest.get(..found)?;
        if inside.matches(&opening).count() == inside.matches(&closing).count() {
            return Some((name, inside, rest.get(found + closing.len()..)?));
        }
        end = found + closing.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({"a": [[1], {"b": "x"}], "item": true});
        assert_eq!(read(&write(&value)), value);
        assert_eq!(read("no elements"), json!("no elements"));
    }
}
