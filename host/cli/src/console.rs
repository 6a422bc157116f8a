//! stderr, shared by log lines and the progress bar.

use std::io::{self, IsTerminal as _, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The environment variable that says what is logged, such as `debug` or `swift_data=trace`.
const LOG_VARIABLE: &str = "SWIFT_HOST_LOG";

/// What is logged if it does not say. What is wrong with a certificate is in the error, and that processes meet while they tidy
/// up the compiled plugins is nothing that a user could do anything about.
const DEFAULT_LOG: &str = "info,rustls_platform_verifier=off,wasmtime_internal_cache=error";

/// What is never logged, whatever is asked for: every byte of a request, passwords and tokens among them.
const NO_BYTES: &str = "ureq_proto=info";

/// What the progress bar shows.
const BAR: &str = "{bar:30} {pos}/{len} [{elapsed} < {eta}] {wide_msg}";

/// A handle to stderr. Lines written through it and the progress bar do not get in each other's way.
#[derive(Clone)]
pub(crate) struct Console {
    bar: ProgressBar,
    terminal: bool,
}

impl Console {
    /// Takes stderr over and sends log lines there.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let terminal = io::stderr().is_terminal();
        let console = Self { bar: ProgressBar::hidden(), terminal };
        let filter = match std::env::var(LOG_VARIABLE) {
            Ok(filter) => EnvFilter::try_new(&filter).map_err(|error| {
                crate::report::UsageError::new(format!(
                    "`{LOG_VARIABLE}={filter}` is not a filter of log lines"
                ))
                .caused_by(error)
            })?,
            Err(_) => EnvFilter::new(DEFAULT_LOG),
        };
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        tracing_subscriber::fmt()
            .with_env_filter(filter.add_directive(NO_BYTES.parse()?))
            .with_writer(console.clone())
            .with_ansi(colour)
            .with_target(false)
            .without_time()
            .try_init()
            .map_err(anyhow::Error::from_boxed)?;
        Ok(console)
    }

    /// One for tests, which leaves log lines alone.
    #[cfg(test)]
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), terminal: false }
    }

    /// Shows how far a task of `total` steps is, with `done` of them done before; on a terminal only.
    pub(crate) fn begin(&self, total: u64, done: u64) {
        if !self.terminal {
            return;
        }
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            self.bar.set_style(style);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.reset_eta();
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }

    /// Moves the bar.
    pub(crate) fn advance(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Shows numbers: beside the bar, or as a line where there is none.
    pub(crate) fn show(&self, done: u64, total: u64, numbers: &str) {
        if self.terminal {
            self.bar.set_message(numbers.to_owned());
        } else {
            self.line(&format!("{done}/{total} {numbers}"));
        }
    }

    /// Shows something passing beside the bar, and nowhere else.
    pub(crate) fn whisper(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// Writes a line.
    pub(crate) fn line(&self, text: &str) {
        // Whoever closed stderr does not want to be told.
        let _ = self.bar.suspend(|| writeln!(io::stderr(), "{text}"));
    }

    /// Writes something that the user should know.
    pub(crate) fn note(&self, text: &str) {
        self.line(&format!("note: {text}"));
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl MakeWriter<'_> for Console {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bar.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
