//! Methods of Python's strings, lists and dictionaries, as far as templates use them.

use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

use super::{python, shown};

/// Calls a method: one of those below, or else one of `minijinja_contrib`.
pub(super) fn call(
    state: &State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match (value.kind(), value.as_str()) {
        (_, Some(text)) => of_string(text, method, args)?,
        (ValueKind::Seq | ValueKind::Iterable, _) => of_list(value, method, args)?,
        (ValueKind::Map, _) if method == "copy" => Some(value.clone()),
        (ValueKind::Map, _) if args.is_empty() && ["items", "keys", "values"].contains(&method) => {
            Some(shown::view(value, method)?)
        }
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn of_string(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let every = |is: fn(char) -> bool| Value::from(!text.is_empty() && text.chars().all(is));
    Ok(Some(match method {
        "strip" | "lstrip" | "rstrip" => {
            let (letters,): (Option<String>,) = from_args(args)?;
            let is_cut = |letter: char| match &letters {
                Some(letters) => letters.contains(letter),
                None => python::is_space(letter),
            };
            Value::from(match method {
                "strip" => text.trim_matches(is_cut),
                "lstrip" => text.trim_start_matches(is_cut),
                _ => text.trim_end_matches(is_cut),
            })
        }
        "split" | "rsplit" => Value::from(split(text, method == "rsplit", args)?),
        "partition" | "rpartition" => {
            let (separator,): (String,) = from_args(args)?;
            let parts = match method {
                "partition" => text.split_once(&separator),
                _ => text.rsplit_once(&separator),
            };
            let parts = match (parts, method) {
                (Some((before, after)), _) => [before, &separator, after],
                (None, "partition") => [text, "", ""],
                (None, _) => ["", "", text],
            };
            shown::tuple(parts.map(Value::from).to_vec())
        }
        "removeprefix" => {
            let (prefix,): (String,) = from_args(args)?;
            Value::from(text.strip_prefix(&*prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (String,) = from_args(args)?;
            Value::from(text.strip_suffix(&*suffix).unwrap_or(text))
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match text.strip_prefix(['+', '-']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            Value::from(format!("{sign}{}{digits}", "0".repeat(width.saturating_sub(text.chars().count()))))
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<String>) = from_args(args)?;
            let fill = fill.unwrap_or_else(|| " ".to_owned());
            if method == "center" {
                return Ok(Some(Value::from(python::centred(text, width, &fill))));
            }
            let missing = width.saturating_sub(text.chars().count());
            let left = if method == "ljust" { 0 } else { missing };
            Value::from(format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left)))
        }
        "swapcase" => {
            let swapped = |letter: char| match letter.is_uppercase() {
                true => letter.to_lowercase().collect::<String>(),
                false => letter.to_uppercase().collect(),
            };
            Value::from(text.chars().map(swapped).collect::<String>())
        }
        "find" | "rfind" | "index" | "rindex" => {
            let (what, start, end): (String, Option<i64>, Option<i64>) = from_args(args)?;
            match (position(text, &what, start, end, method.starts_with('r')), method) {
                (Some(position), _) => Value::from(position),
                (None, "find" | "rfind") => Value::from(-1),
                (None, _) => return Err(Error::new(ErrorKind::InvalidOperation, "the text is not found")),
            }
        }
        "splitlines" => {
            let (keeps_ends, options): (Option<bool>, Kwargs) = from_args(args)?;
            let keeps_ends = keeps_ends.or(options.get("keepends")?).unwrap_or(false);
            Value::from(lines(text, keeps_ends))
        }
        "capitalize" => Value::from(python::capitalized(text)),
        "isdigit" | "isnumeric" | "isdecimal" => every(char::is_numeric),
        "isalpha" => every(char::is_alphabetic),
        "isalnum" => every(char::is_alphanumeric),
        "isspace" => every(python::is_space),
        "isupper" | "islower" => {
            let has = |is: fn(char) -> bool| text.chars().any(is);
            let [upper, lower] = [has(char::is_uppercase), has(char::is_lowercase)];
            Value::from(if method == "isupper" { upper && !lower } else { lower && !upper })
        }
        _ => return Ok(None),
    }))
}

fn of_list(list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "index" => {
            let (what,): (Value,) = from_args(args)?;
            let position = list.try_iter()?.position(|value| value == what);
            Value::from(
                position
                    .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the value is not in the list"))?,
            )
        }
        "copy" => list.clone(),
        _ => return Ok(None),
    }))
}

/// `str.split` and `str.rsplit`.
fn split(text: &str, from_right: bool, args: &[Value]) -> Result<Vec<String>, Error> {
    let (separator, most, options): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = separator.or(options.get("sep")?).filter(|separator| !separator.is_none());
    let most = most.or(options.get("maxsplit")?).and_then(|most| usize::try_from(most).ok());
    let owned = |parts: Vec<&str>| parts.into_iter().map(str::to_owned).collect::<Vec<_>>();
    if let Some(separator) = separator {
        let separator = separator.as_str().filter(|separator| !separator.is_empty());
        let separator = separator.ok_or_else(|| {
            Error::new(ErrorKind::InvalidOperation, "a text is split at a text that is not empty")
        })?;
        return Ok(match (most, from_right) {
            (None, _) => owned(text.split(separator).collect()),
            (Some(most), false) => owned(text.splitn(most.saturating_add(1), separator).collect()),
            (Some(most), true) => {
                let mut parts = owned(text.rsplitn(most.saturating_add(1), separator).collect());
                parts.reverse();
                parts
            }
        });
    }
    let mut parts = Vec::new();
    let mut rest = python::trimmed(text);
    while !rest.is_empty() {
        let cut = match (most.is_none_or(|most| parts.len() < most), from_right) {
            (false, _) => None,
            (true, false) => rest.split_once(python::is_space),
            (true, true) => rest.rsplit_once(python::is_space).map(|(rest, part)| (part, rest)),
        };
        let (part, others) = cut.unwrap_or((rest, ""));
        parts.push(part.to_owned());
        rest = python::trimmed(others);
    }
    if from_right {
        parts.reverse();
    }
    // What is left over keeps the white space at its far end.
    Ok(match (most, parts.len(), from_right) {
        (Some(most), count, false) if count > most => {
            let kept = text.len() - text.trim_end_matches(python::is_space).len();
            let tail = text.get(text.len() - kept..).unwrap_or_default();
            parts.last_mut().into_iter().for_each(|part| part.push_str(tail));
            parts
        }
        (Some(most), count, true) if count > most => {
            let kept = text.len() - text.trim_start_matches(python::is_space).len();
            let head = text.get(..kept).unwrap_or_default();
            parts.first_mut().into_iter().for_each(|part| part.insert_str(0, head));
            parts
        }
        _ => parts,
    })
}

/// Where a text is, in letters.
fn position(text: &str, what: &str, start: Option<i64>, end: Option<i64>, from_right: bool) -> Option<usize> {
    let count = text.chars().count();
    let clamped = |index: i64| match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => count.saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let start = start.map_or(0, clamped);
    let end = end.map_or(count, clamped).min(count);
    if start > end {
        return None;
    }
    let part: String = text.chars().skip(start).take(end - start).collect();
    let found = if from_right { part.rfind(what) } else { part.find(what) }?;
    Some(start + part.get(..found)?.chars().count())
}

/// `str.splitlines`: lines end at more than the line feed.
fn lines(text: &str, keeps_ends: bool) -> Vec<String> {
    let ends = |letter: char| {
        matches!(
            letter,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(end) = rest.find(ends) else {
            lines.push(rest.to_owned());
            break;
        };
        let (line, after) = rest.split_at(end);
        let width = match after.starts_with("\r\n") {
            true => 2,
            false => after.chars().next().map_or(0, char::len_utf8),
        };
        let (mark, after) = after.split_at(width);
        lines.push(if keeps_ends { format!("{line}{mark}") } else { line.to_owned() });
        rest = after;
    }
    lines
}
