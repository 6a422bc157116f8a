//! What begins with a slash in a chat.

use swift_infer::{SamplingOptions, StopOptions};

use super::sampling::Generation;

/// What `/help` says.
pub(crate) const HELP: &str = "\
/clear          forget the conversation
/system TEXT    another system prompt, and a new conversation; without a text the template's own
/adapter NAME   answer with this adapter; `none` is the model alone; without a name, list them
/multi          a message of several lines, up to a line with /end; a line that ends with \\ goes on, too
/exit           leave, as Ctrl-D does
/PARAMETER X    change how answers are made: temperature, top-k, top-p, min-p, repetition-penalty,
                presence-penalty, frequency-penalty, max-new-tokens, seed; without a value, show it
//TEXT          a message that begins with a slash
Ctrl-C stops an answer.";

/// A line of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    Message(&'a str),
    Help,
    Clear,
    Multi,
    Exit,
    System(&'a str),
    Adapter(&'a str),
    /// Any other name, with what stands behind it.
    Parameter(String, &'a str),
}

/// What a line says. ms-swift's words without a slash count, too.
pub(crate) fn parse(line: &str) -> Entry<'_> {
    match line.trim() {
        "exit" | "quit" => return Entry::Exit,
        "clear" => return Entry::Clear,
        "multi-line" => return Entry::Multi,
        _ => {}
    }
    let Some(command) = line.strip_prefix('/') else { return Entry::Message(line) };
    if command.starts_with('/') {
        return Entry::Message(command);
    }
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    match name.replace('_', "-").as_str() {
        "help" | "?" => Entry::Help,
        "clear" => Entry::Clear,
        "multi" => Entry::Multi,
        "exit" | "quit" => Entry::Exit,
        "system" => Entry::System(rest),
        "adapter" => Entry::Adapter(rest),
        name => Entry::Parameter(name.to_owned(), rest),
    }
}

/// Shows a parameter, or changes it and shows what it is now.
///
/// # Errors
/// Why it can't be.
pub(crate) fn parameter(generation: &mut Generation, name: &str, value: &str) -> Result<String, String> {
    let mut changed = generation.clone();
    let Generation { sampling, stop, seed, .. } = &mut changed;
    let SamplingOptions { temperature, top_k, top_p, min_p, .. } = sampling;
    let now = match name {
        "temperature" => set(temperature, value)?,
        "top-p" => set(top_p, value)?,
        "min-p" => set(min_p, value)?,
        "repetition-penalty" => set(&mut sampling.repetition_penalty, value)?,
        "presence-penalty" => set(&mut sampling.presence_penalty, value)?,
        "frequency-penalty" => set(&mut sampling.frequency_penalty, value)?,
        "seed" => set(seed, value)?,
        // 0 stands for no limit in both.
        "top-k" => {
            let mut count = top_k.unwrap_or(0);
            let shown = set(&mut count, value)?;
            *top_k = Some(count).filter(|count| *count > 0);
            shown
        }
        "max-new-tokens" | "max-tokens" => {
            let StopOptions { max_tokens, .. } = stop;
            let mut count = max_tokens.unwrap_or(0);
            let shown = set(&mut count, value)?;
            *max_tokens = Some(count).filter(|count| *count > 0);
            shown
        }
        name => return Err(format!("there is no command `/{name}`; `/help` lists them")),
    };
    changed.check().map_err(|error| error.to_string().replace("--", "/"))?;
    *generation = changed;
    Ok(format!("{name} is {now}"))
}

/// Sets what a text says, if it is not empty.
fn set<T: std::str::FromStr + std::fmt::Display>(place: &mut T, value: &str) -> Result<String, String> {
    if !value.is_empty() {
        *place = value.parse().map_err(|_| format!("`{value}` is no number that this can be"))?;
    }
    Ok(place.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation() -> Generation {
        let (sampling, stop) = (SamplingOptions::default(), StopOptions::default());
        Generation { sampling, stop, beams: None, seed: 42, logprobs: None, samplers: Vec::new() }
    }

    #[test]
    fn lines_are_messages_or_commands() {
        for (line, entry) in [
            ("hello /there", Entry::Message("hello /there")),
            ("//etc", Entry::Message("/etc")),
            ("/help", Entry::Help),
            ("exit", Entry::Exit),
            ("/quit", Entry::Exit),
            ("/clear", Entry::Clear),
            ("/multi", Entry::Multi),
            ("/system  Be  kind ", Entry::System("Be  kind")),
            ("/adapter", Entry::Adapter("")),
            ("/top_k 3", Entry::Parameter("top-k".into(), "3")),
        ] {
            assert_eq!(parse(line), entry, "{line}");
        }
    }

    #[test]
    fn parameters_are_shown_changed_and_checked() {
        let mut now = generation();
        assert_eq!(parameter(&mut now, "temperature", ""), Ok("temperature is 1".into()));
        assert_eq!(parameter(&mut now, "temperature", "0.7"), Ok("temperature is 0.7".into()));
        assert_eq!(parameter(&mut now, "top-k", "5"), Ok("top-k is 5".into()));
        assert_eq!(parameter(&mut now, "max-new-tokens", "9"), Ok("max-new-tokens is 9".into()));
        assert_eq!((now.sampling.temperature, now.sampling.top_k), (0.7, Some(5)));
        assert_eq!(now.stop.max_tokens, Some(9));
        assert_eq!(parameter(&mut now, "top-k", "0"), Ok("top-k is 0".into()));
        assert_eq!(now.sampling.top_k, None);
        let before = now.clone();
        for (name, value) in [("temperature", "-1"), ("top-p", "2"), ("seed", "x"), ("colour", "red")] {
            assert!(parameter(&mut now, name, value).is_err(), "{name}");
        }
        let told = |now: Generation| (now.sampling, now.stop, now.seed);
        assert_eq!(told(now), told(before));
    }
}
