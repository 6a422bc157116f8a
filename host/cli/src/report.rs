//! Errors as the user sees them: one sentence, its causes, hints, and an exit code.

use std::fmt;
use std::process::ExitCode;

use clap::error::ErrorKind;

/// Exit code of a run that failed.
const FAILED: u8 = 1;
/// Exit code of a command line that makes no sense.
const USAGE: u8 = 2;
/// Exit code of a run that was interrupted and has saved.
pub(crate) const INTERRUPTED: u8 = 130;

/// A mistake in what was asked for, with what to do about it.
#[derive(Debug)]
pub(crate) struct UsageError {
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), source: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Says where the mistake was made.
    pub(crate) fn prefix(mut self, place: &str) -> Self {
        self.message.insert_str(0, place);
        self
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for UsageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_deref()?)
    }
}

/// Prints an error to stderr, or the help text that clap hands over as an error to stdout, and gives the exit code.
pub(crate) fn report(error: anyhow::Error) -> ExitCode {
    let error = match error.downcast::<clap::Error>() {
        Ok(help) if matches!(help.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Nothing is left to do for a reader that has gone away.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
        Ok(help) if help.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = help.print();
            return ExitCode::from(USAGE);
        }
        Ok(usage) => UsageError::from(usage).into(),
        Err(error) => error,
    };
    eprint!("{}", describe(&error));
    ExitCode::from(if error.chain().any(is_usage) { USAGE } else { FAILED })
}

/// Whether an error is a mistake in the command line, such as a setting out of range, which only a library can tell.
fn is_usage(error: &(dyn std::error::Error + 'static)) -> bool {
    use swift_data::Error as Data;
    use swift_fetch::Error as Fetch;
    use swift_model::Error as Model;
    use swift_train::Error as Train;
    error.is::<UsageError>()
        || matches!(error.downcast_ref(), Some(Train::Setting { .. } | Train::ModelLossMissing))
        || matches!(
            error.downcast_ref(),
            Some(
                Fetch::Reference { .. }
                    | Fetch::NotPinned { .. }
                    | Fetch::NotEncrypted { .. }
                    | Fetch::CredentialsOfNone { .. }
            )
        )
        || matches!(
            error.downcast_ref(),
            Some(Data::InvalidOption { .. } | Data::RowCount { .. } | Data::TemplateUnknown { .. })
        )
        || matches!(
            error.downcast_ref(),
            Some(Model::AdapterSetting(_) | Model::TargetUnknown { .. } | Model::TargetHead(_))
        )
}

/// `error: …`, a line `caused by: …` for each cause that says something new, and a line `hint: …` for each hint.
fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    let mut previous = error.to_string();
    for cause in error.chain().skip(1) {
        // Some end with a line break.
        let message = cause.to_string().trim_end().to_owned();
        // Many errors repeat their cause, or are nothing but a wrapper around it.
        if !previous.contains(&message) {
            text.push_str(&format!("caused by: {message}\n"));
            previous = message;
        }
    }
    let mut hints: Vec<String> = error.chain().flat_map(hints).collect();
    hints.dedup();
    for hint in hints {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// The hints of one error of a chain. A new library error type with hints joins this list.
fn hints(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    if let Some(usage) = error.downcast_ref::<UsageError>() {
        return usage.hints.clone();
    }
    None.or_else(|| error.downcast_ref::<swift_tensor::Error>()?.hint())
        .or_else(|| error.downcast_ref::<swift_author::Error>()?.hint())
        .or_else(|| error.downcast_ref::<swift_runtime::Error>()?.hint())
        .or_else(|| error.downcast_ref::<swift_model::Error>()?.hint())
        .or_else(|| error.downcast_ref::<swift_data::Error>()?.hint())
        .or_else(|| error.downcast_ref::<swift_train::Error>()?.hint())
        .or_else(|| error.downcast_ref::<swift_fetch::Error>()?.hint())
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_sentence_then_causes_then_hints() {
        let cause = UsageError::new("There is no file `x`").hint("make one");
        let error = anyhow::Error::new(cause).context("The recipe is of no use");
        assert_eq!(
            describe(&error),
            "error: The recipe is of no use\ncaused by: There is no file `x`\nhint: make one\n"
        );
    }

    #[test]
    fn a_cause_that_its_error_repeats_is_not_shown_twice() {
        let error =
            anyhow::Error::new(UsageError::new("no file `x`")).context("Failed to start: no file `x`");
        assert_eq!(describe(&error), "error: Failed to start: no file `x`\n");
    }
}
