//! Jinja as `transformers` sets it up: `transformers.utils.chat_template_utils` over Jinja2 and Python.

use std::borrow::Cow;

use jiff::civil::DateTime;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::{json, methods, python};

/// An environment for chat templates. `now` is what they see as the time.
pub(super) fn environment(now: Option<DateTime>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|output, _, value| {
        std::fmt::Write::write_str(output, &python::text(value)).map_err(Error::from)
    });
    add_filters(&mut environment);
    add_tests(&mut environment);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("cycler", minijinja_contrib::globals::cycler);
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_function("strftime_now", move |format: String| {
        let now = now.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no date is given"))?;
        jiff::fmt::strtime::format(&format, now)
            .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    environment
}

fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("tojson", json::filter);
    environment.add_filter("string", |value: &Value| python::text(value).into_owned());
    environment.add_filter("join", join);
    environment.add_filter("trim", trim);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    for name in ["escape", "e"] {
        environment.add_filter(name, escape);
    }
    environment.add_filter("capitalize", |value: &Value| python::capitalized(&python::text(value)));
}

fn add_tests(environment: &mut Environment<'_>) {
    let is_sequence = |value: &Value| match value.kind() {
        // Python looks for `__len__` and `__getitem__`, which these all have.
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map => true,
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    };
    environment.add_test("sequence", is_sequence);
    environment
        .add_test("iterable", move |value: &Value| is_sequence(value) || value.kind() == ValueKind::Iterable);
    environment
        .add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
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
        kind => value.len().ok_or_else(|| {
            Error::new(ErrorKind::InvalidOperation, format!("a value of type {kind} has no length"))
        }),
    }
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
