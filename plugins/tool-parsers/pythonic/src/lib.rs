//! Calls as a Python list of function calls, `[weather(city="Rome"), time()]`: what Llama 3.2 and 4 write, and what vLLM calls
//! `pythonic`.

use serde_json::Map;
use swift_plugin::conversation::literal;
use swift_plugin::prelude::*;

parameters! {
    /// Calls that are written as a Python list: `[weather(city="Rome"), time()]` (Llama 3.2 and 4).
    pub struct Pythonic {}
}

/// What Llama 4 may put around a list of calls.
const BEGIN: &str = "<|python_start|>";
const END: &str = "<|python_end|>";

impl ToolParser for Pythonic {
    /// An answer is a list of calls or none: text before or after a list makes it a text as a whole. So a text is known by
    /// its beginning, and a list at its end.
    fn parse(&self, answer: &str, finished: bool, _: &Value) -> Result<Answer> {
        let begun = answer.trim_start();
        let may_be_calls = begun.starts_with('[') || begun.starts_with(BEGIN) || BEGIN.starts_with(begun);
        Ok(match (may_be_calls, finished) {
            (false, _) => Answer::of_text(answer),
            (true, false) => Answer::of_text(""),
            (true, true) => match calls(answer) {
                Some(calls) => Answer { text: String::new(), calls },
                None => Answer::of_text(answer),
            },
        })
    }
}

/// The calls of a list, if a text is one and has any.
fn calls(text: &str) -> Option<Vec<Call>> {
    let text = text.trim();
    let text = text.strip_prefix(BEGIN).unwrap_or(text);
    let text = text.strip_suffix(END).unwrap_or(text);
    let (calls, rest) = items(token(text, "[")?, "]", call)?;
    (rest.trim().is_empty() && !calls.is_empty()).then_some(calls)
}

/// The call that a text begins with, and what follows it: `name(parameter=literal, …)`.
fn call(text: &str) -> Option<(Call, &str)> {
    let (name, rest) = name(text, "_.")?;
    let (arguments, rest) = items(token(rest, "(")?, ")", argument)?;
    let arguments: Map<String, Value> = arguments.into_iter().collect();
    Some((Call { name: name.to_owned(), arguments: Value::Object(arguments).to_string() }, rest))
}

fn argument(text: &str) -> Option<((String, Value), &str)> {
    let (parameter, rest) = name(text, "_")?;
    let (value, rest) = literal(token(rest, "=")?)?;
    Some(((parameter.to_owned(), value), rest))
}

/// Items with commas between them, up to the word that closes them, and what follows it.
fn items<'a, T>(
    mut rest: &'a str,
    close: &str,
    item: fn(&'a str) -> Option<(T, &'a str)>,
) -> Option<(Vec<T>, &'a str)> {
    let (mut items, mut may_follow) = (Vec::new(), true);
    loop {
        if let Some(rest) = token(rest, close) {
            return Some((items, rest));
        }
        let (found, after) = item(rest).filter(|_| may_follow)?;
        items.push(found);
        let comma = token(after, ",");
        may_follow = comma.is_some();
        rest = comma.unwrap_or(after);
    }
}

/// What follows a word at the beginning of a text, white space aside.
fn token<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.trim_start().strip_prefix(word)
}

/// The name that a text begins with, of letters, digits and these characters, and what follows it.
fn name<'a>(text: &'a str, others: &str) -> Option<(&'a str, &'a str)> {
    let text = text.trim_start();
    let belongs = |letter: char| letter.is_alphanumeric() || others.contains(letter);
    let (name, rest) = text.split_at(text.find(|letter| !belongs(letter)).unwrap_or(text.len()));
    let begins = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    begins.then_some((name, rest))
}

export!(Pythonic: ToolParser);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a finished answer is taken apart into, which must not depend on how it grows.
    fn parsed(answer: &str) -> (String, Vec<(String, Value)>) {
        let parse = |answer: &str, finished| Pythonic {}.parse(answer, finished, &json!([])).unwrap();
        let whole = parse(answer, true);
        let mut given = String::new();
        for (end, _) in answer.char_indices() {
            let part = parse(&answer[..end], false);
            assert!(part.text.starts_with(&given) && whole.text.starts_with(&part.text), "{answer}");
            assert!(part.calls.is_empty());
            given = part.text;
        }
        let call = |call: Call| (call.name, serde_json::from_str(&call.arguments).unwrap());
        (whole.text, whole.calls.into_iter().map(call).collect())
    }

    #[test]
    fn lists_of_calls_are_calls() {
        let weather = ("weather".to_owned(), json!({"city": "Rome", "days": 3}));
        let time = ("time.now".to_owned(), json!({}));
        for (answer, calls) in [
            ("[weather(city='Rome', days=3)]", vec![weather.clone()]),
            (
                "\n[ weather( city = \"Rome\" , days = 3, ), time.now() , ] ",
                vec![weather.clone(), time.clone()],
            ),
            ("<|python_start|>[time.now()]<|python_end|>", vec![time]),
        ] {
            assert_eq!(parsed(answer), (String::new(), calls), "{answer}");
        }
        let nested = "[f(a={'x': [1, -2.5, None]}, b=(True, \"it's ) ]\"))]";
        let arguments = json!({"a": {"x": [1, -2.5, null]}, "b": [true, "it's ) ]"]});
        assert_eq!(parsed(nested), (String::new(), vec![("f".to_owned(), arguments)]));
    }

    #[test]
    fn everything_else_is_text() {
        for answer in [
            "It is 4.",
            "Look: [f(a=1)]",
            "[f(a=1)] is what I call",
            "[f(a=1)",
            "[f(a=1) g()]",
            "[f(a=1 b=2)]",
            "[f(1)]",
            "[f(a=g())]",
            "[1, 2]",
            "[2f()]",
            "[]",
            "[,]",
            "<|python_",
            "",
        ] {
            assert_eq!(parsed(answer), (answer.to_owned(), vec![]), "{answer}");
        }
    }
}
