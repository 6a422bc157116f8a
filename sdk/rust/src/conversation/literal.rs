//! Lists and objects that files hold as text: JSON, or what Python prints for the same.

use serde_json::{Map, Value};

/// How deep lists may lie in each other: the sandbox's stack is small.
const DEPTH: usize = 64;

/// Letters after a backslash that stand for one character.
const ESCAPES: [(char, &str); 12] = [
    ('n', "\n"),
    ('t', "\t"),
    ('r', "\r"),
    ('0', "\0"),
    ('a', "\x07"),
    ('b', "\x08"),
    ('f', "\x0c"),
    ('v', "\x0b"),
    ('\\', "\\"),
    ('\'', "'"),
    ('"', "\""),
    ('\n', ""),
];

/// Letters after a backslash that a character's number follows, with its hexadecimal digits.
const NUMBERED: [(char, usize); 3] = [('x', 2), ('u', 4), ('U', 8)];

/// Words with their values.
const WORDS: [(&str, Value); 3] =
    [("None", Value::Null), ("True", Value::Bool(true)), ("False", Value::Bool(false))];

/// The list or object that a text is, in JSON or in Python's notation; anything else is only text.
pub(super) fn parse(text: &str) -> Option<Value> {
    let value = serde_json::from_str(text).ok().or_else(|| python(text))?;
    matches!(value, Value::Array(_) | Value::Object(_)).then_some(value)
}

/// The value of the Python literal that a text begins with, and what follows it.
pub(super) fn beginning(text: &str) -> Option<(Value, &str)> {
    let mut parser = Parser { rest: text, depth: 0 };
    let value = parser.value()?;
    Some((value, parser.rest))
}

/// The value of a Python literal made of lists, tuples, dictionaries, texts, numbers, `None`, `True` and `False`.
fn python(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text, depth: 0 };
    let value = parser.value()?;
    parser.skip_space();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Whether `token` comes next; takes it if so.
    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn value(&mut self) -> Option<Value> {
        self.skip_space();
        self.depth += 1;
        let value = match self.rest.chars().next()? {
            _ if self.depth > DEPTH => None,
            '[' => self.list("[", "]").map(|(values, _)| Value::Array(values)),
            '(' => match self.list("(", ")")? {
                // Parentheses around one value, without a comma, are only parentheses.
                (mut values, false) if values.len() == 1 => values.pop(),
                (values, _) => Some(Value::Array(values)),
            },
            '{' => self.dictionary(),
            '\'' | '"' => self.texts().map(Value::String),
            _ => self.word(),
        };
        self.depth -= 1;
        value
    }

    /// The values between brackets, and whether there is a comma among them.
    fn list(&mut self, open: &str, close: &str) -> Option<(Vec<Value>, bool)> {
        let (mut values, mut comma) = (Vec::new(), false);
        self.take(open);
        while !self.take(close) {
            if !values.is_empty() && !comma {
                return None;
            }
            values.push(self.value()?);
            comma = self.take(",");
        }
        let is_tuple = comma || values.len() > 1;
        Some((values, is_tuple))
    }

    fn dictionary(&mut self) -> Option<Value> {
        let (mut members, mut comma) = (Map::new(), true);
        self.take("{");
        while !self.take("}") {
            let Value::String(name) = self.value().filter(|_| comma)? else { return None };
            if !self.take(":") {
                return None;
            }
            members.insert(name, self.value()?);
            comma = self.take(",");
        }
        Some(Value::Object(members))
    }

    /// A text, or several in a row, which are one.
    fn texts(&mut self) -> Option<String> {
        let mut text = String::new();
        while let Some(quote) = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| self.take(quote)) {
            while !self.rest.starts_with(quote) {
                match self.next()? {
                    '\\' => self.escaped(&mut text)?,
                    '\n' if quote.len() == 1 => return None,
                    character => text.push(character),
                }
            }
            self.rest = self.rest.get(quote.len()..)?;
        }
        Some(text)
    }

    fn escaped(&mut self, text: &mut String) -> Option<()> {
        let letter = self.next()?;
        if let Some((_, meant)) = ESCAPES.into_iter().find(|(known, _)| *known == letter) {
            text.push_str(meant);
        } else if let Some((_, digits)) = NUMBERED.into_iter().find(|(known, _)| *known == letter) {
            let number = u32::from_str_radix(self.rest.get(..digits)?, 16).ok()?;
            text.push(char::from_u32(number)?);
            self.rest = self.rest.get(digits..)?;
        } else {
            // Python leaves unknown ones as they are.
            text.extend(['\\', letter]);
        }
        Some(())
    }

    /// A number, or one of [`WORDS`].
    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find(|next: char| ",:]})".contains(next) || next.is_whitespace());
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match WORDS.into_iter().find(|(known, _)| *known == word) {
            Some((_, value)) => Some(value),
            None => serde_json::from_str(word).ok().filter(Value::is_number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_and_objects_are_read_in_both_notations() {
        for (text, value) in [
            (r#"[{"a": [1, null, true]}]"#, json!([{"a": [1, null, true]}])),
            ("[{'a': [1, None, True]},]", json!([{"a": [1, null, true]}])),
            ("{'role': 'user', 'loss': False}", json!({"role": "user", "loss": false})),
            ("[('q', 'a'), ('r',), ('s'), ()]", json!([["q", "a"], ["r"], "s", []])),
            ("[-1.5, 2e3, 0]", json!([-1.5, 2e3, 0])),
            (" [ ] ", json!([])),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn texts_have_both_quotes_and_all_escapes() {
        for (text, value) in [
            (r#"['it\'s', "it's", 'say "hi"']"#, json!(["it's", "it's", "say \"hi\""])),
            (r"['a\n\t\\b', '\x41\u00e9\U0001F600', '\d']", json!(["a\n\t\\b", "Aé😀", r"\d"])),
            ("['''two\nlines''', 'one ' 'text']", json!(["two\nlines", "one text"])),
            ("['', '']", json!(["", ""])),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn anything_else_is_only_text() {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        for text in [
            "not a list",
            "3",
            "'text'",
            "[1 2]",
            "[,]",
            "{'a' 1}",
            "{1: 2}",
            "{'a': 1 'b': 2}",
            "['a",
            "['a\n']",
            "[a]",
            "[1] and more",
            r"['\x4']",
            "",
            &deep,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
