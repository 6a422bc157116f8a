//! Seed: the head of a Python function, with what its documentation says.

use serde_json::Value;

use super::{member, parameters};

/// Types of JSON schemas as Python calls them.
const TYPES: [(&str, &str); 6] = [
    ("string", "str"),
    ("number", "int"),
    ("integer", "int"),
    ("boolean", "bool"),
    ("array", "list"),
    ("object", "dict"),
];

pub(super) fn write(function: &Value) -> String {
    let typed = |schema: &Value| {
        let name = member(schema, "type");
        TYPES
            .into_iter()
            .find(|(known, _)| *known == name)
            .map_or(name.clone(), |(_, python)| python.to_owned())
    };
    let parameters = parameters(function);
    let head = parameters.iter().map(|(name, schema, _)| format!("{name}: {}", typed(schema)));
    let lines = parameters.iter().map(|(name, schema, is_required)| {
        let need = if *is_required { "必填" } else { "选填" };
        format!("    - {name} ({}) [{need}]: {}\n", typed(schema), member(schema, "description"))
    });
    format!(
        "def {}({}):\n    \"\"\"\n    {}\n\n    Args:\n{}\n    \"\"\"",
        member(function, "name"),
        head.collect::<Vec<_>>().join(","),
        member(function, "description"),
        lines.collect::<String>(),
    )
}
