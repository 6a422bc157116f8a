//! Lines for the run's log, and the last words of a plugin that panics.

use std::fmt;

pub use crate::bindings::host::log::Level;

/// Writes one line to the run's log; the host adds the plugin's name. In native tests it goes to stderr.
///
/// The macros [`trace!`](crate::trace), [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
/// [`error!`](crate::error) are shorter.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    crate::backend::log(level, &message.to_string());
}

/// Writes a line that only someone who looks for a mistake wants to see.
#[macro_export]
macro_rules! trace {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Trace, ::core::format_args!($($message)*))
    };
}

/// Writes a line about the plugin's inner workings.
#[macro_export]
macro_rules! debug {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Debug, ::core::format_args!($($message)*))
    };
}

/// Writes a line that a user may want to see.
#[macro_export]
macro_rules! info {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Info, ::core::format_args!($($message)*))
    };
}

/// Writes a line about something that is probably not as it should be.
#[macro_export]
macro_rules! warn {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Warn, ::core::format_args!($($message)*))
    };
}

/// Writes a line about something that went wrong.
#[macro_export]
macro_rules! error {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Error, ::core::format_args!($($message)*))
    };
}

/// Sends the message of a panic, with file and line, to the host, which shows it with the trap that follows.
#[cfg(target_family = "wasm")]
pub(crate) fn report_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("panicked");
            let place =
                panic.location().map(|at| format!(", at {}:{}", at.file(), at.line())).unwrap_or_default();
            crate::bindings::host::log::panicked(&format!("{message}{place}"));
        }));
    });
}
