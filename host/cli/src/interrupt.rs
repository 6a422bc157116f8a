//! Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::console::Console;
use crate::report::INTERRUPTED;

/// What a run does after the first Ctrl-C.
pub(crate) const SAVING: &str = "interrupted: saving after this step; press Ctrl-C again to stop at once";

/// A flag that the first Ctrl-C raises, so that the command saves and ends, which `message` says. The second one ends the
/// process at once.
pub(crate) fn watch(console: Console, message: &'static str) -> anyhow::Result<Arc<AtomicBool>> {
    let raised = Arc::new(AtomicBool::new(false));
    let flag = raised.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        console.line(message);
    })?;
    Ok(raised)
}
