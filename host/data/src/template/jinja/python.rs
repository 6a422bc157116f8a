//! Values as Python's `str` and `repr` write them.

use std::borrow::Cow;

use minijinja::value::{Value, ValueKind};

use super::shown::Shown;

/// `str(value)`.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value.as_str() {
        Some(text) => Cow::Borrowed(text),
        None if value.is_undefined() => Cow::Borrowed(""),
        None => Cow::Owned(repr(value)),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    if let Some(shown) = value.downcast_object_ref::<Shown>() {
        return shown.repr();
    }
    match value.kind() {
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
        }
        ValueKind::Undefined => "Undefined".to_owned(),
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            let values = value.try_iter().into_iter().flatten().map(|value| repr(&value));
            format!("[{}]", values.collect::<Vec<_>>().join(", "))
        }
        ValueKind::Map => {
            let member = |key: Value| {
                let member = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", repr(&key), repr(&member))
            };
            let members = value.try_iter().into_iter().flatten().map(member);
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// `repr` of a `float`: the shortest digits that read as the same number, with an exponent below `1e-4` and from `1e16`.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number == 0.0 || (1e-4..1e16).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `repr` of a `str`: in single quotes, or in double ones if that saves escapes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut result = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            '\\' => result.push_str("\\\\"),
            letter if letter == quote => result.extend(['\\', letter]),
            letter if is_printable(letter) => result.push(letter),
            letter => {
                let code = u32::from(letter);
                result.push_str(&match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
        }
    }
    result.push(quote);
    result
}

/// Whether Python shows a letter as it is. Rust knows the same of letters, but for those that it escapes for other reasons:
/// quotes, the backslash, and marks that combine with the letter before, which it shows behind one.
fn is_printable(letter: char) -> bool {
    match letter {
        ' ' | '\'' | '"' | '\\' => true,
        letter if letter.is_whitespace() => false,
        letter => format!("{:?}", format!("a{letter}")).contains(letter),
    }
}

/// `str.strip()`: what Python knows as white space is what Unicode does, and four separators among the control codes.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_space)
}

pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// `str.capitalize()`.
pub(super) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &letters.as_str().to_lowercase()
}

/// `str.center()`: the odd one goes left where the width is odd.
pub(super) fn centred(text: &str, width: usize, fill: &str) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))
}
