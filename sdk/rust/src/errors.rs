//! Why something could not be done.

use std::fmt;
use std::panic::Location;

/// The result of what a plugin does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a plugin could not do what it was asked to do.
///
/// Made from any other error by `?`, by [`Error::new`], or by [`bail!`](crate::bail). An error that stems from a tensor
/// operation or from `?` knows the line of the plugin that it comes from, and shows it.
#[derive(Clone, PartialEq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    location: Option<&'static Location<'static>>,
}

/// What kind of mistake an [`Error`] is, as the contract distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes of operands don't fit.
    ShapeMismatch,
    /// Element types of operands differ.
    DtypeMismatch,
    /// An argument is outside of what an operation takes.
    InvalidArgument,
    /// The tensor would not fit in memory.
    OutOfMemory,
    /// There is no such operation for this element type or device.
    Unsupported,
    /// Anything else.
    Other,
}

impl Error {
    /// An error of the plugin's own, in one sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Other, message: message.into(), location: None }
    }

    pub(crate) fn at(kind: ErrorKind, message: String, location: &'static Location<'static>) -> Self {
        Self { kind, message, location: Some(location) }
    }

    /// What kind of mistake it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.location {
            Some(location) => write!(f, ", at {}:{}", location.file(), location.line()),
            None => Ok(()),
        }
    }
}

// What a failed test shows.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

// `Error` is no `std::error::Error`, which is what lets it be made from all of those.
impl<E: std::error::Error> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::at(ErrorKind::Other, message, Location::caller())
    }
}

/// Returns an [`Error`] with a formatted message.
///
/// ```
/// use swift_plugin::prelude::*;
///
/// fn check(patience: u64) -> Result<()> {
///     if patience == 0 {
///         bail!("`patience` is {patience}, and must be at least 1");
///     }
///     Ok(())
/// }
/// assert_eq!(check(0).unwrap_err().message(), "`patience` is 0, and must be at least 1");
/// ```
#[macro_export]
macro_rules! bail {
    ($($message:tt)*) => {
        return ::core::result::Result::Err($crate::Error::new(::std::format!($($message)*)))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_made_by_the_question_mark_names_its_causes_and_its_line() {
        fn parse() -> Result<u32> {
            Ok("x".parse::<u32>()?)
        }
        let error = parse().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(error.message(), "invalid digit found in string");
        assert!(error.to_string().starts_with("invalid digit found in string, at "), "{error}");
        assert!(error.to_string().contains("errors.rs:"), "{error}");
    }
}
