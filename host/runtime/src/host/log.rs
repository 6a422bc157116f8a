//! `log`: lines of a plugin in the host's log, under its name.

use crate::bindings::log::{Host, Level};
use crate::store::State;

/// Bytes of a line that are kept; the rest of a longer one is left out.
const LINE_BYTES: usize = 16 << 10;

impl Host for State {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.log(level, &message);
        Ok(())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.panic = Some(shortened(&message).to_owned());
        Ok(())
    }
}

impl State {
    /// Writes a line, unless the call has written as many or as much as it may.
    pub(crate) fn log(&mut self, level: Level, message: &str) {
        let message = shortened(message);
        let (lines, bytes) = (self.logged.lines + 1, self.logged.bytes + message.len() as u64);
        if lines > self.limits.log_lines || bytes > self.limits.log_bytes {
            self.logged.omitted += 1;
            return;
        }
        (self.logged.lines, self.logged.bytes) = (lines, bytes);
        let plugin = &*self.plugin;
        match level {
            Level::Trace => tracing::trace!(target: "plugin", plugin, "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, "{message}"),
            Level::Info => tracing::info!(target: "plugin", plugin, "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, "{message}"),
            Level::Error => tracing::error!(target: "plugin", plugin, "{message}"),
        }
    }

    /// Says how many lines of the call were left out.
    pub(crate) fn log_omissions(&self) {
        let omitted = self.logged.omitted;
        if omitted > 0 {
            tracing::warn!(target: "plugin", plugin = &*self.plugin, "{omitted} more lines of one call were left out");
        }
    }
}

fn shortened(line: &str) -> &str {
    line.get(..line.floor_char_boundary(LINE_BYTES)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = "é".repeat(LINE_BYTES);
        assert_eq!(shortened(&line).len(), LINE_BYTES);
        assert_eq!(shortened(&format!("a{line}")).len(), LINE_BYTES - 1);
        assert_eq!(shortened("short"), "short");
    }
}
