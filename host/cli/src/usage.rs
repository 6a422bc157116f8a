//! What clap finds wrong with a command line, in the words that errors have here.

use std::num::{IntErrorKind, ParseFloatError, ParseIntError};
use std::str::ParseBoolError;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::migrating;
use crate::report::UsageError;

impl From<clap::Error> for UsageError {
    /// One sentence, and as hints: how a flag of ms-swift is said here, what was meant perhaps, or where to read on.
    fn from(error: clap::Error) -> Self {
        let (usage, hint) = (Self::new(message(&error)), hint(&error));
        usage.hint(hint)
    }
}

/// A piece of what clap knows about an error.
pub(crate) fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    all(error, kind).first().copied()
}

/// All of such a piece.
fn all(error: &clap::Error, kind: ContextKind) -> Vec<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text],
        Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The flag that an error is about, without what it takes: `--dtype`, or `PLUGIN` of one without a name.
fn flag(error: &clap::Error) -> &str {
    without_value(context(error, ContextKind::InvalidArg).unwrap_or_default())
}

/// `--dtype` of `--dtype <NAME>`.
fn without_value(argument: &str) -> &str {
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    if flag.starts_with('-') { flag } else { argument }
}

fn message(error: &clap::Error) -> String {
    let (flag, value) = (flag(error), context(error, ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with('-') => format!("There is no flag `{flag}`"),
        ErrorKind::UnknownArgument => format!("The word `{flag}` belongs to no flag"),
        ErrorKind::InvalidSubcommand => {
            let command = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("There is no command `{command}`")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = all(error, ContextKind::InvalidArg).into_iter().map(without_value);
            let missing: Vec<&str> = missing.collect();
            let verb = if missing.len() == 1 { "is" } else { "are" };
            format!("{} {verb} missing", listed(&missing, "and"))
        }
        ErrorKind::ArgumentConflict if context(error, ContextKind::PriorArg).is_none() => rendered(error),
        ErrorKind::ArgumentConflict => {
            let prior = all(error, ContextKind::PriorArg);
            match context(error, ContextKind::InvalidArg) {
                Some(argument) if prior == [argument] => format!("`{flag}` is there more than once"),
                _ => format!("`{flag}` can't be used together with {}", listed(&prior, "and")),
            }
        }
        ErrorKind::InvalidValue if value.is_none_or(str::is_empty) => format!("`{flag}` lacks its value"),
        ErrorKind::InvalidValue => format!("`{flag}` can't be `{}`", value.unwrap_or_default()),
        ErrorKind::ValueValidation => {
            let message = format!("`{flag}` can't be `{}`", value.unwrap_or_default());
            match source(error) {
                // The hint says what is wrong with those.
                Some(source) if expected(source).is_none() => format!("{message}: {source}"),
                _ => message,
            }
        }
        _ => rendered(error),
    }
}

fn hint(error: &clap::Error) -> String {
    let command = command(error);
    // What is said otherwise there is said to `run`.
    let unknown = (error.kind() == ErrorKind::UnknownArgument && command == "swift-host run")
        .then(|| flag(error).trim_start_matches('-'));
    if let Some(instead) = unknown.and_then(migrating::said_otherwise) {
        return instead.to_owned();
    }
    if let Some(expected) = source(error).and_then(expected) {
        return format!("it takes {expected}");
    }
    let possible = all(error, ContextKind::ValidValue);
    if !possible.is_empty() {
        return format!("it takes {}", listed(&possible, "or"));
    }
    let suggested: Vec<&str> =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
            .into_iter()
            .flat_map(|kind| all(error, kind))
            .collect();
    // The closest one comes last.
    if let Some(nearest) = suggested.last() {
        return format!("did you mean `{}`?", without_value(nearest));
    }
    match error.kind() {
        ErrorKind::InvalidSubcommand => format!("`{command} --help` lists the commands"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            "its entry in `--help` says what it takes".into()
        }
        ErrorKind::ArgumentConflict => "leave one of them out".into(),
        _ => format!("`{command} --help` lists all flags"),
    }
}

/// The command that an error is about, such as `swift-host plugin`.
fn command(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let words = usage.split_whitespace().skip_while(|word| ["Usage:", "swift-host"].contains(word));
    let words = words.take_while(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
    ["swift-host"].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn source(error: &clap::Error) -> Option<&(dyn std::error::Error + 'static)> {
    std::error::Error::source(error)
}

/// What would have been right, where the standard library could not read a text.
fn expected(source: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if source.is::<ParseFloatError>() {
        return Some("a number");
    }
    if source.is::<ParseBoolError>() {
        return Some("`true` or `false`");
    }
    match source.downcast_ref::<ParseIntError>()?.kind() {
        IntErrorKind::Zero => Some("a whole number above 0"),
        _ => Some("a whole number"),
    }
}

/// `a`, `b` and `c`.
fn listed(names: &[&str], conjunction: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} {conjunction} {last}", others.join(", ")),
        None => String::new(),
    }
}

/// clap's own sentence.
fn rendered(error: &clap::Error) -> String {
    let text = error.render().to_string();
    sentence(&backticks(text.lines().next().unwrap_or_default().trim_start_matches("error: ")))
}

/// Begins with a capital letter.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// clap quotes with `'`, everything else here with backticks.
fn backticks(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut previous = ' ';
    while let Some(character) = characters.next() {
        // An apostrophe inside a word is not a quote.
        let inside =
            previous.is_alphanumeric() && characters.peek().is_some_and(|next| next.is_alphanumeric());
        quoted.push(if character == '\'' && !inside { '`' } else { character });
        previous = character;
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_become_backticks_and_apostrophes_stay() {
        assert_eq!(backticks("the flag '--a-b' doesn't exist"), "the flag `--a-b` doesn't exist");
    }

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        assert_eq!(listed(&["a"], "or"), "`a`");
        assert_eq!(listed(&["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }
}
