//! Spelling of flags.

use std::ffi::OsString;

/// Writes every long flag with dashes: `--lora_rank=8` becomes `--lora-rank=8`. Values stay as they are.
pub(crate) fn normalise(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut only_values = false;
    arguments
        .into_iter()
        .map(|argument| {
            only_values |= argument == "--";
            match argument.to_str().and_then(|text| text.strip_prefix("--")) {
                Some(flag) if !only_values => {
                    let (name, value) =
                        flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
                    let name = name.replace('_', "-");
                    match value {
                        Some(value) => format!("--{name}={value}").into(),
                        None => format!("--{name}").into(),
                    }
                }
                _ => argument,
            }
        })
        .collect()
}

/// Names of the long flags among normalised arguments: `lora-rank` for `--lora-rank=8`.
pub(crate) fn flag_names(arguments: &[OsString]) -> impl Iterator<Item = &str> {
    arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .filter_map(|argument| argument.to_str()?.strip_prefix("--"))
        .map(|flag| flag.split_once('=').map_or(flag, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(arguments: &[&str]) -> Vec<String> {
        let arguments = arguments.iter().map(OsString::from);
        normalise(arguments).into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn underscores_in_flags_become_dashes() {
        assert_eq!(normalised(&["--lora_rank", "8"]), ["--lora-rank", "8"]);
        assert_eq!(normalised(&["--lora_rank=8"]), ["--lora-rank=8"]);
    }

    #[test]
    fn underscores_in_values_stay() {
        assert_eq!(normalised(&["--loss-scale", "last_round"]), ["--loss-scale", "last_round"]);
        assert_eq!(normalised(&["--plugin_arg=label_smoothing=0.1"]), ["--plugin-arg=label_smoothing=0.1"]);
        assert_eq!(normalised(&["my_recipe.toml", "--", "--a_b"]), ["my_recipe.toml", "--", "--a_b"]);
    }

    #[test]
    fn names_of_flags_come_without_values() {
        let arguments: Vec<OsString> = ["run", "--a-b", "c", "--d=e", "--", "--f"].map(OsString::from).into();
        assert_eq!(flag_names(&arguments).collect::<Vec<_>>(), ["a-b", "d"]);
    }
}
