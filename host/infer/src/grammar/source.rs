use std::fmt::Write as _;

use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};

use super::GrammarLimits;

/// The deepest nesting of brackets in expressions and rules, which are read recursively.
const MOST_NESTING: usize = 100;

/// White space between the parts of JSON: any, but not without end, since a model may be fond of it.
const WHITE_SPACE: &str = r"[\x20\x0A\x0D\x09]{1,64}";

/// What answers are to look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
    /// JSON that a schema describes (JSON Schema, draft 2020-12).
    JsonSchema {
        /// The schema, an object.
        schema: Value,
        /// Whether keywords that can't be enforced are refused rather than passed over.
        strict: bool,
    },
    /// A text that matches a regular expression as a whole, in the notation of Rust's `regex`.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A text that follows rules in llguidance's variant of the notation of Lark; it begins with the rule `start`.
    Lark(String),
    /// Calls of tools as JSON with `name` and `arguments` between two words.
    Calls {
        /// Before a call.
        begin: String,
        /// After a call.
        end: String,
        /// The tools that may be called: their names, and the schemas of their arguments.
        tools: Vec<(String, Value)>,
        /// Whether there may be more than one.
        several: bool,
    },
}

impl Grammar {
    /// Any JSON object.
    pub fn json_object() -> Self {
        Self::JsonSchema { schema: json!({ "type": "object" }), strict: true }
    }

    /// The grammar in the library's form, if it is within the limits.
    pub(super) fn checked(&self, limits: &GrammarLimits) -> Result<TopLevelGrammar, String> {
        let rules = match self {
            Self::JsonSchema { schema, strict } => {
                within(schema.to_string().len(), limits)?;
                return Ok(TopLevelGrammar::from_json_schema(with_options(schema, *strict)?));
            }
            Self::Regex(expression) => {
                within(expression.len(), limits)?;
                is_shallow(expression)?;
                return Ok(TopLevelGrammar::from_regex(expression));
            }
            Self::Choice(texts) => {
                within(texts.iter().map(String::len).sum(), limits)?;
                if texts.is_empty() || texts.iter().any(String::is_empty) {
                    return Err("there must be at least one text to choose, and none may be empty".into());
                }
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("start: {}", texts.join(" | "))
            }
            Self::Lark(rules) => {
                within(rules.len(), limits)?;
                is_shallow(rules)?;
                rules.clone()
            }
            Self::Calls { begin, end, tools, several } => {
                within(
                    tools.iter().map(|(name, schema)| name.len() + schema.to_string().len()).sum(),
                    limits,
                )?;
                calls(begin, end, tools, *several)?
            }
        };
        Ok(TopLevelGrammar::from_lark(rules))
    }
}

fn within(bytes: usize, limits: &GrammarLimits) -> Result<(), String> {
    match limits.max_bytes {
        most if bytes > most => Err(format!("it has {bytes} bytes, more than {most}")),
        _ => Ok(()),
    }
}

/// Text in the notation of rules, whose strings are those of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A schema with what the library is told of it.
fn with_options(schema: &Value, strict: bool) -> Result<Value, String> {
    let Value::Object(mut schema) = schema.clone() else { return Err("a schema must be an object".into()) };
    let options = json!({ "lenient": !strict, "whitespace_pattern": WHITE_SPACE });
    schema.insert("x-guidance".into(), options);
    Ok(schema.into())
}

/// Rules for calls. Each schema stays a document of its own, so that its references go on to hold.
fn calls(begin: &str, end: &str, tools: &[(String, Value)], several: bool) -> Result<String, String> {
    if tools.is_empty() {
        return Err("there is no tool to call".into());
    }
    let names: Vec<String> = (0..tools.len()).map(|index| format!("call_{index}")).collect();
    let again = if several { r#" ("\n" call)*"# } else { "" };
    let mut rules = format!("start: call{again}\ncall: {}\n", names.join(" | "));
    for (index, (name, schema)) in tools.iter().enumerate() {
        let before = quoted(&format!("{begin}\n{{\"name\": {}, \"arguments\": ", quoted(name)));
        let after = quoted(&format!("}}\n{end}"));
        let schema = with_options(schema, false)?;
        // The rules are lines; JSON in one line has no line break outside of its strings, where it is escaped.
        let written = write!(
            rules,
            "call_{index}: {before} arguments_{index} {after}\narguments_{index}: %json {schema}\n"
        );
        written.map_err(|error| error.to_string())?;
    }
    Ok(rules)
}

/// Refuses what would need much stack to read. Brackets in strings count too, if nothing closes them.
fn is_shallow(text: &str) -> Result<(), String> {
    let depth = |depth: usize, character| match character {
        '(' | '[' | '{' => depth + 1,
        ')' | ']' | '}' => depth.saturating_sub(1),
        _ => depth,
    };
    let depths = text.chars().scan(0, |now, character| {
        *now = depth(*now, character);
        Some(*now)
    });
    match depths.max() {
        Some(deepest) if deepest > MOST_NESTING => {
            Err(format!("it has brackets {deepest} deep, more than {MOST_NESTING}"))
        }
        _ => Ok(()),
    }
}
