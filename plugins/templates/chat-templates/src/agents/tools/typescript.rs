//! Kimi K2.5: a TypeScript type of a function.

use serde_json::Value;

use super::{member, parameters};

pub(super) fn write(function: &Value) -> String {
    let comment = |indent: &str, value: &Value| match member(value, "description") {
        text if text.is_empty() => String::new(),
        text => format!("{indent}// {text}\n"),
    };
    let fields = parameters(function)
        .into_iter()
        .map(|(name, schema, _)| format!("{}  {name}: {}", comment("  ", schema), member(schema, "type")));
    format!(
        "{}type {} = (_: {{\n{}\n}}) => any;",
        comment("", function),
        member(function, "name"),
        fields.collect::<Vec<_>>().join(",\n"),
    )
}
