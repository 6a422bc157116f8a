//! Gemma 4: `declaration:add{description:<|"|>..<|"|>,parameters:{..}}`, with the names of types in capitals.

use serde_json::{Map, Value};

use super::member;
use crate::agents::declaration;

pub(super) fn write(function: &Value) -> String {
    let mut body = Map::new();
    for name in ["description", "parameters"] {
        if let Some(value) = function.get(name) {
            body.insert(name.to_owned(), capitals(value));
        }
    }
    format!("declaration:{}{}", member(function, "name"), declaration::write(&Value::Object(body)))
}

fn capitals(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let member = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) if name == "type" => Value::String(text.to_uppercase()),
            value => capitals(value),
        };
        (name.clone(), value)
    };
    Value::Object(members.iter().map(member).collect())
}
