use crate::bindings::log::{Host, Level};
use crate::state::State;

/// Characters kept of one line: more is a mistake of the plugin, not a message.
const LINE_LIMIT: usize = 16 << 10;

fn shortened(message: &str) -> &str {
    message.get(..message.floor_char_boundary(LINE_LIMIT)).unwrap_or(message)
}

impl Host for State {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let (plugin, message) = (&*self.plugin, shortened(&message));
        match level {
            Level::Trace => tracing::trace!(target: "plugin", plugin, "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, "{message}"),
            Level::Info => tracing::info!(target: "plugin", plugin, "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, "{message}"),
            Level::Error => tracing::error!(target: "plugin", plugin, "{message}"),
        }
        Ok(())
    }

    fn panicked(&mut self, message: String) -> wasmtime::Result<()> {
        self.panic = Some(shortened(&message).to_owned());
        Ok(())
    }
}
