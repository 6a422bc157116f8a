//! Which form an answer must have: OpenAI's `response_format` and forced `tool_choice`, and vLLM's `guided_…` and
//! `structured_outputs`.

use serde_json::{Map, Value, json};
use swift_infer::{Constraint, Error, Grammar};

use crate::ToolCallParser;
use crate::app::App;
use crate::error::{ApiError, Result};
use crate::fields::{Field as _, Fields};

/// A form, and the field that asks for it.
pub(crate) struct Form {
    pub(crate) field: String,
    pub(crate) grammar: Grammar,
}

/// What vLLM calls the ways to say a form; its older fields have `guided_` before it.
const WAYS: [&str; 5] = ["json", "json_object", "regex", "choice", "grammar"];

impl Form {
    /// Reads all fields that ask for a form.
    pub(crate) fn read(fields: &mut Fields) -> Result<Option<Self>> {
        let mut forms: Vec<Self> = response_format(fields)?.into_iter().collect();
        for way in WAYS {
            let name = format!("guided_{way}");
            if let Some(value) = fields.take(&name)?
                && let Some(grammar) = grammar(way, value, &name)?
            {
                forms.push(Self { field: name, grammar });
            }
        }
        let name = "structured_outputs";
        for (way, value) in fields.take::<Map<String, Value>>(name)?.unwrap_or_default() {
            let is_way = WAYS.contains(&way.as_str());
            let field = format!("{name}.{way}");
            match value {
                Value::Null => {}
                value if is_way => {
                    let form = grammar(&way, value, &field)?.map(|grammar| Self { field, grammar });
                    forms.extend(form);
                }
                // What only steers how another server goes about it.
                Value::Bool(_) | Value::String(_) if way != "structural_tag" => {}
                _ => return Err(ApiError::field(&field, "is not known")),
            }
        }
        let form = forms.pop();
        match (&form, forms.pop()) {
            (Some(form), Some(other)) => {
                Err(ApiError::field(&form.field, &format!("and `{}` can't both be followed", other.field)))
            }
            _ => Ok(form),
        }
    }
}

fn response_format(fields: &mut Fields) -> Result<Option<Form>> {
    let field = "response_format";
    let Some(mut format) = fields.take::<Map<String, Value>>(field)? else { return Ok(None) };
    let form = |grammar| Ok(Some(Form { field: field.to_owned(), grammar }));
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => form(Grammar::json_object()),
        Some("json_schema") => {
            let place = format!("{field}.json_schema");
            let Some(Value::Object(mut described)) = format.remove("json_schema") else {
                return Err(ApiError::field(&place, "is missing, or no object"));
            };
            let strict = described.get("strict").and_then(Value::as_bool).unwrap_or(false);
            match described.remove("schema") {
                Some(schema @ Value::Object(_)) => form(Grammar::JsonSchema { schema, strict }),
                _ => Err(ApiError::field(&format!("{place}.schema"), "is missing, or no object")),
            }
        }
        Some(way @ ("regex" | "grammar")) => {
            let place = format!("{field}.{way}");
            let value = format.get(way).cloned().unwrap_or_default();
            Ok(grammar(way, value, &place)?.map(|grammar| Form { field: place, grammar }))
        }
        _ => {
            Err(ApiError::field(field, "must be `text`, `json_object`, `json_schema`, `regex` or `grammar`"))
        }
    }
}

/// A form in one of vLLM's ways; none if the value says that there is none.
fn grammar(way: &str, value: Value, field: &str) -> Result<Option<Grammar>> {
    let wrong = |kind: &str| ApiError::field(field, &format!("must be {kind}"));
    let text = |value| String::from_value(value).ok_or_else(|| wrong("a text"));
    Ok(Some(match way {
        "json" => {
            let schema = match value {
                Value::String(text) => serde_json::from_str(&text)
                    .map_err(|error| ApiError::field(field, &format!("is not valid JSON: {error}")))?,
                value => value,
            };
            if !schema.is_object() {
                return Err(wrong("a JSON schema, as an object or a text"));
            }
            Grammar::JsonSchema { schema, strict: false }
        }
        "json_object" => match value.as_bool() {
            Some(true) => Grammar::json_object(),
            Some(false) => return Ok(None),
            None => return Err(wrong("`true` or `false`")),
        },
        "regex" => Grammar::Regex(text(value)?),
        "choice" => {
            let texts = Vec::<Value>::from_value(value).into_iter().flatten().map(String::from_value);
            let texts: Option<Vec<String>> = texts.collect();
            Grammar::Choice(texts.ok_or_else(|| wrong("a list of texts"))?)
        }
        _ => Grammar::Lark(text(value)?),
    }))
}

/// Which tools an answer may or must call.
#[derive(Debug, PartialEq)]
pub(crate) enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// At least one, whichever.
    Required,
    /// This one.
    Named(String),
}

impl ToolChoice {
    pub(crate) fn read(fields: &mut Fields) -> Result<Self> {
        let wrong = || {
            let rule = "must be `auto`, `none`, `required`, or an object that names a function";
            ApiError::field("tool_choice", rule)
        };
        match fields.take::<Value>("tool_choice")? {
            None => Ok(Self::Auto),
            Some(Value::String(word)) => match word.as_str() {
                "auto" => Ok(Self::Auto),
                "none" => Ok(Self::None),
                "required" => Ok(Self::Required),
                _ => Err(wrong()),
            },
            Some(choice) => {
                let name = choice.get("function").and_then(|function| function.get("name")?.as_str());
                Ok(Self::Named(name.ok_or_else(wrong)?.to_owned()))
            }
        }
    }

    /// The form that forces a call of `tools`; none if no call is forced.
    pub(crate) fn form(
        &self,
        tools: &[Value],
        parser: Option<&ToolCallParser>,
        parallel: bool,
    ) -> Result<Option<Form>> {
        let field = "tool_choice";
        let name = match self {
            Self::Auto | Self::None => return Ok(None),
            Self::Required => None,
            Self::Named(name) => Some(name.as_str()),
        };
        let Some(parser) = parser else {
            return Err(ApiError::field(
                field,
                "can't force a call, as this server looks for no calls in answers",
            ));
        };
        let tool = |tool: &Value| {
            let function = tool.get("function")?;
            let any = || json!({ "type": "object" });
            let parameters = function.get("parameters").filter(|schema| !schema.is_null());
            // Arguments are an object even where their schema does not say so.
            let schema = parameters.map_or_else(any, |schema| match schema.as_object() {
                Some(fields) if fields.is_empty() => any(),
                _ => schema.clone(),
            });
            Some((function.get("name")?.as_str()?.to_owned(), schema))
        };
        let callable =
            tools.iter().filter_map(tool).filter(|(known, _)| name.is_none_or(|name| name == known));
        let callable: Vec<(String, Value)> = callable.collect();
        if callable.is_empty() {
            return Err(ApiError::field(field, "names no tool of `tools`"));
        }
        let grammar = Grammar::Calls {
            begin: parser.begin.to_owned(),
            end: parser.end.to_owned(),
            tools: callable,
            several: parallel && name.is_none(),
        };
        Ok(Some(Form { field: field.to_owned(), grammar }))
    }
}

/// Makes what is asked for into what the engine follows, on a thread that may take its time.
pub(crate) async fn constraint(app: &App, form: Option<Form>) -> Result<Option<Constraint>> {
    let Some(Form { field, grammar }) = form else { return Ok(None) };
    let Some(grammars) = app.grammars.clone() else {
        let rule =
            "needs a tokeniser that says which bytes its tokens are, which the model's folder does not have";
        return Err(ApiError::field(&field, rule));
    };
    match tokio::task::spawn_blocking(move || grammars.compile(&grammar)).await {
        Ok(Ok(constraint)) => Ok(Some(constraint)),
        Ok(Err(Error::Grammar(reason))) => {
            Err(ApiError::field(&field, &format!("can't be followed: {reason}")))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Error::Stopped.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Result<Option<Form>> {
        Form::read(&mut Fields::parse(body.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn all_ways_to_say_a_form_are_understood() {
        let schema = json!({ "type": "object", "properties": {} });
        let json = |strict| Grammar::JsonSchema { schema: schema.clone(), strict };
        let choice = Grammar::Choice(vec!["a".into(), "b".into()]);
        for (body, expected) in [
            (json!({ "response_format": { "type": "text" } }), None),
            (json!({ "response_format": { "type": "json_object" } }), Some(Grammar::json_object())),
            (
                json!({ "response_format": { "type": "json_schema",
                                            "json_schema": { "name": "x", "strict": true, "schema": schema } } }),
                Some(json(true)),
            ),
            (
                json!({ "response_format": { "type": "regex", "regex": "a+" } }),
                Some(Grammar::Regex("a+".into())),
            ),
            (json!({ "guided_json": schema }), Some(json(false))),
            (json!({ "guided_json": schema.to_string() }), Some(json(false))),
            (json!({ "guided_regex": "a+" }), Some(Grammar::Regex("a+".into()))),
            (json!({ "guided_choice": ["a", "b"] }), Some(choice.clone())),
            (json!({ "guided_grammar": "start: \"a\"" }), Some(Grammar::Lark("start: \"a\"".into()))),
            (json!({ "structured_outputs": { "choice": ["a", "b"], "regex": null } }), Some(choice)),
            (json!({ "structured_outputs": { "json_object": false } }), None),
            (json!({ "guided_regex": null }), None),
        ] {
            let form = read(&body).unwrap_or_else(|error| panic!("{body}: {}", error.message));
            assert_eq!(form.map(|form| form.grammar), expected, "{body}");
        }
    }

    #[test]
    fn forms_that_make_no_sense_are_named() {
        for (body, field) in [
            (json!({ "response_format": { "type": "xml" } }), "response_format"),
            (json!({ "response_format": { "type": "regex" } }), "response_format.regex"),
            (json!({ "response_format": { "type": "json_schema" } }), "response_format.json_schema"),
            (
                json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": 1 } } }),
                "response_format.json_schema.schema",
            ),
            (json!({ "guided_json": "{" }), "guided_json"),
            (json!({ "guided_json": [] }), "guided_json"),
            (json!({ "guided_choice": ["a", 1] }), "guided_choice"),
            (json!({ "structured_outputs": { "structural_tag": "x" } }), "structured_outputs.structural_tag"),
            (json!({ "guided_regex": "a", "guided_choice": ["a"] }), "guided_choice"),
        ] {
            let error = read(&body).err().unwrap_or_else(|| panic!("{body}"));
            assert_eq!(error.param.as_deref(), Some(field), "{body}");
        }
    }

    #[test]
    fn forced_calls_are_of_the_tools_that_are_there() {
        let tools = [json!({ "function": { "name": "f" } }), json!({ "function": { "name": "g" } })];
        let parser = crate::TOOL_CALL_PARSERS.first();
        let form = |choice: ToolChoice, parallel| choice.form(&tools, parser, parallel);
        assert!(form(ToolChoice::Auto, true).unwrap().is_none());
        let names = |form: Option<Form>| match form.unwrap().grammar {
            Grammar::Calls { tools, several, .. } => {
                (tools.into_iter().map(|(name, _)| name).collect::<Vec<_>>().concat(), several)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(names(form(ToolChoice::Required, true).unwrap()), ("fg".into(), true));
        assert_eq!(names(form(ToolChoice::Required, false).unwrap()), ("fg".into(), false));
        assert_eq!(names(form(ToolChoice::Named("g".into()), true).unwrap()), ("g".into(), false));
        assert!(form(ToolChoice::Named("h".into()), true).is_err());
        assert!(ToolChoice::Required.form(&tools, None, true).is_err());
    }
}
