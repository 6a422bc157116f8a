//! Describe how your model writes calls of tools.

use swift_plugin::prelude::*;

parameters! {
    /// Calls that are written as one JSON object: `{"name": "add", "parameters": {"a": 2}}` (Llama 3.1).
    pub struct PluginName {}
}

impl ToolParser for PluginName {
    fn parse(&self, answer: &str, finished: bool, _: &Value) -> Result<Answer> {
        // What begins otherwise is text, and can be given out while it grows.
        if !answer.trim_start().starts_with('{') {
            return Ok(Answer::of_text(answer));
        }
        if !finished {
            return Ok(Answer::of_text(""));
        }
        Ok(match call(answer) {
            Some(call) => Answer { text: String::new(), calls: vec![call] },
            None => Answer::of_text(answer),
        })
    }
}

fn call(answer: &str) -> Option<Call> {
    let call: Value = answer.trim().parse().ok()?;
    let arguments = call.get("parameters").filter(|arguments| arguments.is_object())?;
    Some(Call { name: call.get("name")?.as_str()?.to_owned(), arguments: arguments.to_string() })
}

export!(PluginName: ToolParser);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_a_call_and_everything_else_text() {
        let parse = |answer: &str, finished| PluginName {}.parse(answer, finished, &Value::Null).unwrap();
        let answer = parse(r#"{"name": "add", "parameters": {"a": 2}}"#, true);
        assert_eq!((answer.text.as_str(), answer.calls.len()), ("", 1));
        assert_eq!(
            (answer.calls[0].name.as_str(), answer.calls[0].arguments.as_str()),
            ("add", r#"{"a":2}"#)
        );
        assert_eq!(parse(r#"{"name": "add""#, false).text, "");
        assert_eq!(parse(r#"{"name": "add""#, true).text, r#"{"name": "add""#);
        assert_eq!(parse("It is", false).text, "It is");
    }
}
