//! Calls as JSON that is all of an answer: objects with `name` and `parameters` or `arguments`, one after the other or in a list.
//! It is what vLLM calls `llama3_json` (Llama 3.1), `mistral` (but for its newest form), `granite` and `phi4_mini_json`.

use swift_plugin::prelude::*;

parameters! {
    /// Calls that are written as JSON which is all of an answer: `{"name": "f", "parameters": {"a": 1}}` (Llama 3.1), or a list of
    /// such objects (Mistral, Granite 3, Phi 4 mini).
    pub struct JsonCalls {}
}

/// What models put before calls. A server that leaves special tokens out does not show all of them.
const BEFORE: [&str; 4] = ["<|python_tag|>", "[TOOL_CALLS]", "<|tool_call|>", "functools"];

impl ToolParser for JsonCalls {
    /// An answer is JSON with calls of the tools that there are, or a text as a whole. So a text is known by its beginning, and calls
    /// at their end.
    fn parse(&self, answer: &str, finished: bool, tools: &Value) -> Result<Answer> {
        let begun = answer.trim_start();
        let may_be_before = BEFORE.iter().any(|word| begun.starts_with(word) || word.starts_with(begun));
        let may_be_calls = may_be_before || begun.starts_with(['{', '[']);
        Ok(match (may_be_calls, finished) {
            (false, _) => Answer::of_text(answer),
            (true, false) => Answer::of_text(""),
            (true, true) => match calls(begun, tools) {
                Some(calls) => Answer { text: String::new(), calls },
                None => Answer::of_text(answer),
            },
        })
    }
}

/// The calls that a text consists of, if it has any and nothing else. Llama puts semicolons between them.
fn calls(text: &str, tools: &Value) -> Option<Vec<Call>> {
    let text = BEFORE.iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text);
    let mut rest = text.trim();
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next()?.ok()? {
            Value::Array(items) => {
                for item in &items {
                    calls.push(call(item, tools)?);
                }
            }
            value => calls.push(call(&value, tools)?),
        }
        let after = rest.get(values.byte_offset()..)?.trim_start();
        rest = after.strip_prefix(';').unwrap_or(after).trim_start();
    }
    (!calls.is_empty()).then_some(calls)
}

/// A call of a tool that is there.
fn call(value: &Value, tools: &Value) -> Option<Call> {
    let name = value.get("name")?.as_str()?;
    let is_known =
        |tool: &Value| tool.get("function").and_then(|tool| tool.get("name")?.as_str()) == Some(name);
    let arguments = match value.get("parameters").or_else(|| value.get("arguments")) {
        None => "{}".to_owned(),
        Some(arguments @ Value::Object(_)) => arguments.to_string(),
        Some(_) => return None,
    };
    tools.as_array()?.iter().any(is_known).then(|| Call { name: name.to_owned(), arguments })
}

export!(JsonCalls: ToolParser);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a finished answer is taken apart into, which must not depend on how it grows.
    fn parsed(answer: &str) -> (String, Vec<(String, String)>) {
        let tools = json!([{"type": "function", "function": {"name": "f"}},
                           {"type": "function", "function": {"name": "g"}}]);
        let parse = |answer: &str, finished| JsonCalls {}.parse(answer, finished, &tools).unwrap();
        let whole = parse(answer, true);
        let mut given = String::new();
        for (end, _) in answer.char_indices() {
            let part = parse(&answer[..end], false);
            assert!(part.text.starts_with(&given) && whole.text.starts_with(&part.text), "{answer}");
            assert!(part.calls.is_empty());
            given = part.text;
        }
        (whole.text, whole.calls.into_iter().map(|call| (call.name, call.arguments)).collect())
    }

    #[test]
    fn objects_and_lists_of_calls_are_calls() {
        let f = ("f".to_owned(), r#"{"a":[1,"}"]}"#.to_owned());
        let g = ("g".to_owned(), "{}".to_owned());
        for (answer, calls) in [
            (r#"{"name": "f", "parameters": {"a": [1, "}"]}}"#, vec![f.clone()]),
            (
                r#"<|python_tag|>{"name": "f", "parameters": {"a": [1, "}"]}}; {"name": "g"}"#,
                vec![f.clone(), g.clone()],
            ),
            (
                r#"[TOOL_CALLS] [{"name": "f", "arguments": {"a": [1, "}"]}}, {"name": "g", "arguments": {}}]"#,
                vec![f.clone(), g.clone()],
            ),
            ("\n[{\"name\": \"g\"}]\n", vec![g.clone()]),
            (r#"functools[{"name": "g", "arguments": {}}]"#, vec![g]),
        ] {
            assert_eq!(parsed(answer), (String::new(), calls), "{answer}");
        }
    }

    #[test]
    fn everything_else_is_text() {
        for answer in [
            "It is 4.",
            r#"I call {"name": "f", "parameters": {}}"#,
            r#"{"name": "f", "parameters": {}} is what I call"#,
            r#"{"name": "f", "parameters": {"#,
            r#"{"name": "f", "parameters": [1]}"#,
            r#"{"name": "nobody", "parameters": {}}"#,
            r#"[{"name": "f"}, {"name": "nobody"}]"#,
            r#"{"city": "Rome"}"#,
            "[1, 2]",
            "[]",
            "[TOOL",
            "",
        ] {
            assert_eq!(parsed(answer), (answer.to_owned(), vec![]), "{answer}");
        }
    }
}
