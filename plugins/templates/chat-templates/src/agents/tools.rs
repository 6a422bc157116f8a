//! How one tool is described. The places of `tool` in the table: its `{{name}}` and `{{description}}`, its `{{parameters}}`,
//! `{{function}}` or `{{tool}}` as JSON, and the spellings of the functions below.

mod declaration;
mod python;
mod typescript;
mod xml;

use serde_json::Value;

use crate::json::{dumps, dumps_indented, plain};
use crate::segments::fill;

/// Writes a function's description.
type Writer = fn(&Value) -> String;

/// The spellings of a function by place.
const WRITERS: [(&str, Writer); 4] = [
    ("tool_declaration", declaration::write),
    ("tool_python", python::write),
    ("tool_typescript", typescript::write),
    ("tool_xml", xml::write),
];

/// A tool, as the text with places says.
pub(super) fn write(text: &str, tool: &Value) -> String {
    let function = function(tool);
    fill(text, |place| {
        Some(match place {
            "name" => name(tool),
            "description" => member(function, "description"),
            "parameters" => dumps(function.get("parameters").unwrap_or(&Value::Null)),
            "tool" => dumps(tool),
            "tool_indented" => dumps_indented(tool),
            "tool_sorted" => sorted(tool).to_string(),
            "function" => dumps(function),
            "function_indented" => dumps_indented(function),
            _ => WRITERS.iter().find(|(name, _)| *name == place)?.1(function),
        })
    })
}

/// The name of a tool.
pub(super) fn name(tool: &Value) -> String {
    member(function(tool), "name")
}

fn function(tool: &Value) -> &Value {
    tool.get("function").unwrap_or(tool)
}

/// The text of a member; empty if there is none.
fn member(value: &Value, name: &str) -> String {
    value.get(name).map(plain).unwrap_or_default()
}

/// The parameters of a function: name, schema, and whether it must be given.
fn parameters(function: &Value) -> Vec<(&String, &Value, bool)> {
    let parameters = function.get("parameters");
    let required = parameters.and_then(|schema| schema.get("required")?.as_array());
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
    let properties = parameters.and_then(|schema| schema.get("properties")?.as_object());
    properties
        .map(|properties| properties.iter().map(|(name, schema)| (name, schema, is_required(name))).collect())
        .unwrap_or_default()
}

/// A value with the members of its objects in order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(sorted).collect(),
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(members.into_iter().collect())
        }
        value => value.clone(),
    }
}
