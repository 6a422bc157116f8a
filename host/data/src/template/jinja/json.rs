//! `tojson` as `transformers` defines it: Python's `json.dumps`, without escaping what is not ASCII unless it is told to.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind};

use super::python;

/// How to write.
struct Style {
    ensure_ascii: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

pub(super) fn filter(value: &Value, arguments: Rest<Value>) -> Result<String, Error> {
    type Arguments = (Option<bool>, Option<Value>, Option<Value>, Option<bool>, Kwargs);
    let (ensure_ascii, indent, separators, sort_keys, options): Arguments = from_args(&arguments)?;
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get("indent")?,
    };
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(indent) => Some(match indent.as_str() {
            Some(indent) => indent.to_owned(),
            None => " ".repeat(usize::try_from(indent)?),
        }),
    };
    let separators = match separators {
        Some(separators) => Some(separators),
        None => options.get("separators")?,
    };
    let separators: Option<Vec<String>> = match separators.filter(|separators| !separators.is_none()) {
        None => None,
        Some(separators) => Some(separators.try_iter()?.map(|text| text.to_string()).collect()),
    };
    let (item_separator, key_separator) = match separators.as_deref() {
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(unfit("`separators` of `tojson` are not two texts")),
    };
    let flag = |given: Option<bool>, name: &str| match given {
        Some(given) => Ok(given),
        None => Ok::<_, Error>(options.get::<Option<bool>>(name)?.unwrap_or(false)),
    };
    let style = Style {
        ensure_ascii: flag(ensure_ascii, "ensure_ascii")?,
        sort_keys: flag(sort_keys, "sort_keys")?,
        indent,
        item_separator,
        key_separator,
    };
    options.assert_all_used()?;
    let mut text = String::new();
    style.write(value, 0, &mut text)?;
    Ok(text)
}

fn unfit(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadSerialization, message.into())
}

impl Style {
    fn write(&self, value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => text.push_str(&number(value)?),
            ValueKind::String => self.string(value.as_str().unwrap_or_default(), text),
            ValueKind::Seq | ValueKind::Iterable => {
                text.push('[');
                let mut is_empty = true;
                for item in value.try_iter()? {
                    self.begin_item(is_empty, depth, text);
                    self.write(&item, depth + 1, text)?;
                    is_empty = false;
                }
                self.end_items(is_empty, depth, text);
                text.push(']');
            }
            ValueKind::Map => {
                text.push('{');
                let mut members = Vec::new();
                for key in value.try_iter()? {
                    members.push((self::key(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    members.sort_by(|(left, _), (right, _)| left.cmp(right));
                }
                for (index, (key, member)) in members.iter().enumerate() {
                    self.begin_item(index == 0, depth, text);
                    self.string(key, text);
                    text.push_str(&self.key_separator);
                    self.write(member, depth + 1, text)?;
                }
                self.end_items(members.is_empty(), depth, text);
                text.push('}');
            }
            kind => return Err(unfit(format!("a value of type {kind} has no JSON"))),
        }
        Ok(())
    }

    fn begin_item(&self, is_first: bool, depth: usize, text: &mut String) {
        if !is_first {
            text.push_str(&self.item_separator);
        }
        self.new_line(depth + 1, text);
    }

    fn end_items(&self, is_empty: bool, depth: usize, text: &mut String) {
        if !is_empty {
            self.new_line(depth, text);
        }
    }

    fn new_line(&self, depth: usize, text: &mut String) {
        if let Some(indent) = &self.indent {
            text.push('\n');
            text.push_str(&indent.repeat(depth));
        }
    }

    fn string(&self, string: &str, text: &mut String) {
        text.push('"');
        for letter in string.chars() {
            match letter {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{8}' => text.push_str("\\b"),
                '\u{c}' => text.push_str("\\f"),
                letter if letter < ' ' || self.ensure_ascii && !(' '..='~').contains(&letter) => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        // Writing to a `String` does not fail.
                        let _ = write!(text, "\\u{unit:04x}");
                    }
                }
                letter => text.push(letter),
            }
        }
        text.push('"');
    }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    Ok(match f64::try_from(value.clone())? {
        number if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        number => python::float(number),
    })
}

/// The name of a member: Python takes some other values as well.
fn key(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.to_string()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => number(value),
        kind => Err(unfit(format!("a value of type {kind} is no name in JSON"))),
    }
}
