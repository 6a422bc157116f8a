//! Qwen3-Coder: an element for everything that a function's schema says.

use serde_json::Value;

use super::{member, parameters};
use crate::json::plain;

/// What a parameter says of itself before anything else.
const FIRST: [&str; 2] = ["type", "description"];

pub(super) fn write(function: &Value) -> String {
    let element = |name: &str, value: &Value| format!("<{name}>{}</{name}>\n", plain(value));
    let mut text = format!("<function>\n<name>{}</name>\n", member(function, "name"));
    text.extend(function.get("description").map(|value| element("description", value)));
    text.push_str("<parameters>\n");
    for (name, schema, _) in parameters(function) {
        text.push_str(&format!("<parameter>\n<name>{name}</name>\n"));
        text.extend(FIRST.into_iter().filter_map(|name| Some(element(name, schema.get(name)?))));
        text.push_str(&others(schema, &FIRST, element));
        text.push_str("</parameter>\n");
    }
    text.extend(function.get("parameters").map(|schema| others(schema, &["type", "properties"], element)));
    text.push_str("</parameters>\n");
    text.push_str(&others(function, &["type", "name", "description", "parameters"], element));
    text.push_str("</function>");
    text
}

/// Elements for the members that have not been written yet.
fn others(value: &Value, written: &[&str], element: impl Fn(&str, &Value) -> String) -> String {
    let members = value.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| !written.contains(&name.as_str()))
        .map(|(name, value)| element(name, value))
        .collect()
}
