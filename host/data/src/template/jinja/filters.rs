//! Filters whose answers in minijinja are others than in Jinja2.

use std::borrow::Cow;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::{json, python, shown};

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("tojson", json::filter);
    environment.add_filter("string", |value: &Value| python::text(value).into_owned());
    environment.add_filter("join", join);
    environment.add_filter("trim", trim);
    for name in ["length", "count"] {
        environment.add_filter(name, length);
    }
    for name in ["escape", "e"] {
        environment.add_filter(name, escape);
    }
    environment.add_filter("capitalize", |value: &Value| python::capitalized(&python::text(value)));
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("round", round);
    environment.add_filter("sum", sum);
    environment.add_filter("attr", attr);
    environment.add_filter("center", |value: &Value, width: Option<usize>| {
        python::centred(&python::text(value), width.unwrap_or(80), " ")
    });
    environment.add_filter("items", |value: &Value| {
        minijinja::filters::items(value).and_then(|pairs| shown::tuples(&pairs))
    });
    environment.add_filter("dictsort", |value: &Value, options: Kwargs| {
        minijinja::filters::dictsort(value, options).and_then(|pairs| shown::tuples(&pairs))
    });
    environment.add_filter("truncate", truncate);
    environment.add_filter("striptags", |value: &Value| strip_tags(&python::text(value)));
    environment.add_filter("wordcount", |value: &Value| python::text(value).split_whitespace().count());
}

fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn join(values: &Value, separator: Option<Cow<'_, str>>, options: Kwargs) -> Result<String, Error> {
    let attribute: Option<&str> = options.get("attribute")?;
    options.assert_all_used()?;
    let mut texts = Vec::new();
    for value in values.try_iter()? {
        let value = attribute.map_or_else(|| Ok(value.clone()), |name| value.get_attr(name))?;
        texts.push(python::text(&value).into_owned());
    }
    Ok(texts.join(&separator.unwrap_or_default()))
}

fn trim(value: &Value, letters: Option<String>) -> String {
    let text = python::text(value);
    match letters {
        Some(letters) => text.trim_matches(|letter| letters.contains(letter)).to_owned(),
        None => python::trimmed(&text).to_owned(),
    }
}

fn length(value: &Value, _: Rest<Value>) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        kind => value.len().ok_or_else(|| invalid(format!("a value of type {kind} has no length"))),
    }
}

/// `int`: what is no number is `default`.
fn int(value: &Value, default: Option<Value>, base: Option<u32>, options: Kwargs) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(options.get("base")?).unwrap_or(10);
    options.assert_all_used()?;
    if !(2..=36).contains(&base) {
        return Err(invalid("a base is from 2 to 36"));
    }
    let Some(text) = value.as_str() else {
        return Ok(match number(value) {
            Some(_) if value.is_integer() => value.clone(),
            Some(number) if number.is_finite() => Value::from(number as i64),
            _ => default,
        });
    };
    let text = python::trimmed(text).replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    let prefix = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let digits = digits.to_lowercase();
    let digits = digits.strip_prefix(prefix).unwrap_or(&digits);
    Ok(match (i64::from_str_radix(digits, base), text.parse::<f64>()) {
        (Ok(number), _) => Value::from(sign * number),
        // Jinja2 tries again with a number that has a fraction.
        (Err(_), Ok(number)) if number.is_finite() => Value::from(number as i64),
        _ => default,
    })
}

/// `float`: what is no number is `default`.
fn float(value: &Value, default: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0.0));
    options.assert_all_used()?;
    let number = match value.as_str() {
        Some(text) => python::trimmed(text).parse().ok(),
        None => number(value),
    };
    Ok(number.map_or(default, Value::from))
}

fn number(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// `round`: to the nearest number, and of two as near to the even one, as Python does.
fn round(
    value: &Value,
    precision: Option<i32>,
    method: Option<String>,
    options: Kwargs,
) -> Result<Value, Error> {
    let precision = precision.or(options.get("precision")?).unwrap_or(0);
    let method = method.or(options.get("method")?).unwrap_or_else(|| "common".to_owned());
    options.assert_all_used()?;
    let number = number(value).ok_or_else(|| invalid("what is rounded is no number"))?;
    let factor = 10_f64.powi(precision);
    let rounded = match method.as_str() {
        "ceil" => (number * factor).ceil() / factor,
        "floor" => (number * factor).floor() / factor,
        // Formatting looks at all digits of the number, as Python does.
        "common" => match usize::try_from(precision) {
            Ok(precision) => format!("{number:.precision$}").parse().unwrap_or(number),
            Err(_) => (number * factor).round_ties_even() / factor,
        },
        _ => return Err(invalid("numbers are rounded by `common`, `ceil` or `floor`")),
    };
    match value.is_integer() && method == "common" {
        true => Ok(Value::from(rounded as i64)),
        false => Ok(Value::from(rounded)),
    }
}

fn sum(
    values: &Value,
    attribute: Option<Value>,
    start: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let attribute = attribute.or(options.get("attribute")?).filter(|attribute| !attribute.is_none());
    let start = start.or(options.get("start")?).unwrap_or_else(|| Value::from(0));
    options.assert_all_used()?;
    let mut total = start;
    for value in values.try_iter()? {
        let value = match &attribute {
            Some(attribute) => value.get_item(attribute)?,
            None => value,
        };
        let whole = |value: &Value| value.is_integer().then(|| i64::try_from(value.clone()).ok()).flatten();
        total = match (whole(&total), whole(&value)) {
            (Some(left), Some(right)) => Value::from(left.saturating_add(right)),
            _ => match (number(&total), number(&value)) {
                (Some(left), Some(right)) => Value::from(left + right),
                _ => return Err(invalid("what is added up is no number")),
            },
        };
    }
    Ok(total)
}

/// `attr`: never an item, which dictionaries have in place of attributes.
fn attr(value: &Value, name: &str) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map => Ok(Value::UNDEFINED),
        _ => value.get_attr(name),
    }
}

/// `truncate`: a text that is too long by more than `leeway` is cut at a word, or anywhere with `killwords`, and ends with `end`.
fn truncate(
    value: &Value,
    length: Option<usize>,
    killwords: Option<bool>,
    end: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    let length = length.or(options.get("length")?).unwrap_or(255);
    let kills_words = killwords.or(options.get("killwords")?).unwrap_or(false);
    let end = end.or(options.get("end")?).unwrap_or_else(|| "...".to_owned());
    let leeway = options.get::<Option<usize>>("leeway")?.unwrap_or(5);
    options.assert_all_used()?;
    let text = python::text(value);
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text.into_owned());
    }
    let room = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| invalid("a text is cut to less than what it shall end with"))?;
    let cut: String = text.chars().take(room).collect();
    let kept = if kills_words { &cut } else { cut.rsplit_once(' ').map_or(&*cut, |(kept, _)| kept) };
    Ok(format!("{kept}{end}"))
}

/// `striptags`: without comments and elements, runs of white space as one space, and the characters that `escape` writes
/// as what they were.
fn strip_tags(text: &str) -> String {
    let without = |text: &str, start: &str, end: &str| {
        let (mut plain, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once(start) {
            let Some((_, after)) = after.split_once(end) else { break };
            plain.push_str(before);
            rest = after;
        }
        plain + rest
    };
    let plain = without(&without(text, "<!--", "-->"), "<", ">");
    let words: Vec<&str> = plain.split(python::is_space).filter(|word| !word.is_empty()).collect();
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", "\""), ("&quot;", "\""), ("&amp;", "&")];
    entities.iter().fold(words.join(" "), |text, (entity, letter)| text.replace(entity, letter))
}

fn escape(value: &Value) -> Value {
    let mut text = String::new();
    for letter in python::text(value).chars() {
        match letter {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '\'' => text.push_str("&#39;"),
            '"' => text.push_str("&#34;"),
            letter => text.push(letter),
        }
    }
    Value::from_safe_string(text)
}
