//! What a plugin says of itself, and the hyper-parameters a user gives it.

use std::fmt;

use serde_json::{Map, Value};

use crate::bindings::meta::exports::swift::plugin::meta;
use crate::{Error, Result};

/// A plugin in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// As the user names it.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// Its hyper-parameters, in the order in which help shows them.
    pub parameters: Vec<ParameterInfo>,
}

/// One hyper-parameter of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterInfo {
    /// As the user writes it, in snake case.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// What values it takes.
    pub r#type: ParameterType,
    /// The default; `null` for "not set".
    pub default: Value,
}

/// The type of a hyper-parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterType {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A list of any values.
    List,
}

impl ParameterType {
    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Text => value.is_string(),
            Self::List => value.is_array(),
        }
    }
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "`true` or `false`",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
        })
    }
}

impl Info {
    /// What a plugin said of itself, or what is wrong with it.
    pub(crate) fn new(info: meta::Info) -> std::result::Result<Self, String> {
        let meta::Info { name, version, summary, parameters } = info;
        if !is_name(&name) {
            return Err(format!(
                "its name is `{name}`, and names are made of small letters, digits, `-` and `_`"
            ));
        }
        let mut known: Vec<ParameterInfo> = Vec::new();
        for parameter in parameters {
            let parameter = ParameterInfo::new(parameter)?;
            if known.iter().any(|other| other.name == parameter.name) {
                return Err(format!("it has two parameters `{}`", parameter.name));
            }
            known.push(parameter);
        }
        Ok(Self { name, version, summary, parameters: known })
    }

    /// Checks the hyper-parameters that a user gave for the plugin.
    pub(crate) fn check(&self, arguments: &Map<String, Value>) -> Result<()> {
        for (argument, value) in arguments {
            let (plugin, argument) = (self.name.clone(), argument.clone());
            let Some(parameter) = self.parameters.iter().find(|parameter| parameter.name == argument) else {
                let known = self.parameters.iter().map(|parameter| parameter.name.clone()).collect();
                return Err(Error::UnknownArgument { plugin, argument, known });
            };
            if !parameter.admits(value) {
                let (expected, given) = (parameter.r#type, value.to_string());
                return Err(Error::ArgumentType { plugin, argument, expected, given });
            }
        }
        Ok(())
    }
}

impl ParameterInfo {
    fn new(parameter: meta::Parameter) -> std::result::Result<Self, String> {
        let meta::Parameter { name, summary, type_, default_json } = parameter;
        if !is_name(&name) || name.contains('-') {
            return Err(format!("a parameter is called `{name}`, and parameters are named in snake case"));
        }
        let r#type = match type_ {
            meta::ParameterType::Boolean => ParameterType::Boolean,
            meta::ParameterType::Integer => ParameterType::Integer,
            meta::ParameterType::Number => ParameterType::Number,
            meta::ParameterType::Text => ParameterType::Text,
            meta::ParameterType::List => ParameterType::List,
        };
        let default = serde_json::from_str(&default_json)
            .map_err(|_| format!("the default of `{name}` is `{default_json}`, which is not JSON"))?;
        let parameter = Self { name, summary, r#type, default };
        if !parameter.admits(&parameter.default) {
            return Err(format!("the default of `{}` is `{default_json}`, not {}", parameter.name, r#type));
        }
        Ok(parameter)
    }

    /// A parameter that is not set by default can also be given as `null`.
    fn admits(&self, value: &Value) -> bool {
        self.r#type.admits(value) || (value.is_null() && self.default.is_null())
    }
}

fn is_name(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(inside)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameter(name: &str, type_: meta::ParameterType, default: &str) -> meta::Parameter {
        meta::Parameter { name: name.into(), summary: String::new(), type_, default_json: default.into() }
    }

    fn info(parameters: Vec<meta::Parameter>) -> std::result::Result<Info, String> {
        Info::new(meta::Info { name: "some".into(), version: "1".into(), summary: String::new(), parameters })
    }

    fn example() -> Info {
        info(vec![
            parameter("beta", meta::ParameterType::Number, "0.1"),
            parameter("rounds", meta::ParameterType::Integer, "3"),
            parameter("target", meta::ParameterType::Number, "null"),
            parameter("names", meta::ParameterType::List, "[]"),
            parameter("kind", meta::ParameterType::Text, "\"plain\""),
            parameter("fast", meta::ParameterType::Boolean, "false"),
        ])
        .unwrap()
    }

    fn check(arguments: Value) -> Result<()> {
        example().check(arguments.as_object().unwrap())
    }

    #[test]
    fn arguments_of_the_right_types_are_taken() {
        check(json!({})).unwrap();
        check(json!({ "beta": 1, "rounds": 5, "target": null, "names": ["a"], "kind": "odd", "fast": true }))
            .unwrap();
    }

    #[test]
    fn an_unknown_argument_is_named_and_the_nearest_are_shown_first() {
        let error = check(json!({ "bta": 1 })).unwrap_err();
        assert_eq!(error.to_string(), "The plugin `some` has no parameter `bta`");
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("its parameters are `beta`, "), "{hint}");
    }

    #[test]
    fn an_argument_of_the_wrong_type_is_named_with_what_it_takes() {
        for (arguments, expected) in [
            (
                json!({ "beta": "much" }),
                "The parameter `beta` of the plugin `some` takes a number, not `\"much\"`",
            ),
            (
                json!({ "rounds": 1.5 }),
                "The parameter `rounds` of the plugin `some` takes a whole number, not `1.5`",
            ),
            (json!({ "beta": null }), "The parameter `beta` of the plugin `some` takes a number, not `null`"),
            (
                json!({ "fast": 1 }),
                "The parameter `fast` of the plugin `some` takes `true` or `false`, not `1`",
            ),
            (json!({ "kind": 1 }), "The parameter `kind` of the plugin `some` takes a text, not `1`"),
            (json!({ "names": "a" }), "The parameter `names` of the plugin `some` takes a list, not `\"a\"`"),
        ] {
            assert_eq!(check(arguments).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_plugin_that_describes_itself_wrongly_is_told_what_is_wrong() {
        let number = meta::ParameterType::Number;
        let two = info(vec![parameter("a", number, "1"), parameter("a", number, "2")]);
        assert_eq!(two.unwrap_err(), "it has two parameters `a`");
        let wild = info(vec![parameter("a", number, "0,1")]);
        assert_eq!(wild.unwrap_err(), "the default of `a` is `0,1`, which is not JSON");
        let text = info(vec![parameter("a", number, "\"1\"")]);
        assert_eq!(text.unwrap_err(), "the default of `a` is `\"1\"`, not a number");
        let kebab = info(vec![parameter("a-b", number, "1")]);
        assert_eq!(kebab.unwrap_err(), "a parameter is called `a-b`, and parameters are named in snake case");
    }
}
