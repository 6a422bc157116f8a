//! Arguments of plugins, checked against what the plugin says of itself.

use serde_json::{Map, Value};

use crate::nearest::nearest_first;
use crate::plugin::{Info, ParameterType};
use crate::{Error, Result};

/// Refuses names that the plugin does not have and values of the wrong type.
pub(crate) fn check(info: &Info, plugin: &str, arguments: &Map<String, Value>) -> Result<()> {
    for (name, value) in arguments {
        let Some(parameter) = info.parameters.iter().find(|parameter| parameter.name == *name) else {
            let known = info.parameters.iter().map(|parameter| parameter.name.as_str());
            return Err(Error::UnknownArgument {
                plugin: plugin.to_owned(),
                argument: name.clone(),
                known: nearest_first(name, known),
            });
        };
        let optional = parameter.default == Value::Null && value.is_null();
        if !optional && !fits(parameter.r#type, value) {
            return Err(Error::ArgumentType {
                plugin: plugin.to_owned(),
                argument: name.clone(),
                wanted: in_words(parameter.r#type),
                value: value.to_string(),
            });
        }
    }
    Ok(())
}

fn fits(wanted: ParameterType, value: &Value) -> bool {
    match wanted {
        ParameterType::Boolean => value.is_boolean(),
        ParameterType::Integer => value.is_i64() || value.is_u64(),
        ParameterType::Number => value.is_number(),
        ParameterType::Text => value.is_string(),
        ParameterType::List => value.is_array(),
    }
}

fn in_words(wanted: ParameterType) -> &'static str {
    match wanted {
        ParameterType::Boolean => "`true` or `false`",
        ParameterType::Integer => "a whole number",
        ParameterType::Number => "a number",
        ParameterType::Text => "a text",
        ParameterType::List => "a list",
    }
}
