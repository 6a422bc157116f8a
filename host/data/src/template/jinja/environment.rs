//! Jinja as `transformers` sets it up: `transformers.utils.chat_template_utils` over Jinja2 and Python.

use jiff::civil::DateTime;
use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::{filters, methods, python, shown};

/// An environment for chat templates. `now` is what they see as the time.
pub(super) fn environment(now: Option<DateTime>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|output, _, value| {
        std::fmt::Write::write_str(output, &python::text(value)).map_err(Error::from)
    });
    filters::add(&mut environment);
    add_tests(&mut environment);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("cycler", |values: Rest<Value>| minijinja_contrib::globals::cycler(values.0));
    environment.add_function("range", shown::range);
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_function("strftime_now", move |format: String| {
        let now = now.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no date is given"))?;
        jiff::fmt::strtime::format(&format, now)
            .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    environment
}

fn add_tests(environment: &mut Environment<'_>) {
    let is_sequence = |value: &Value| match value.kind() {
        // Python looks for `__len__` and `__getitem__`, which these all have.
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map => true,
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    };
    environment.add_test("sequence", is_sequence);
    // A macro is a map of what is known of it, and names itself.
    environment.add_test("callable", |value: &Value| match value.kind() {
        ValueKind::Plain => true,
        ValueKind::Map => value.to_string().starts_with("<macro "),
        _ => false,
    });
    environment
        .add_test("iterable", move |value: &Value| is_sequence(value) || value.kind() == ValueKind::Iterable);
    environment
        .add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
}
