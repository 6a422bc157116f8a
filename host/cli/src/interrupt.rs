//! Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::console::Console;
use crate::report::INTERRUPTED;

/// A flag that the first Ctrl-C raises, so that the run saves and ends. The second one ends the process at once.
pub(crate) fn watch(console: Console) -> anyhow::Result<Arc<AtomicBool>> {
    let raised = Arc::new(AtomicBool::new(false));
    let flag = raised.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        console.line("interrupted: saving after this step; press Ctrl-C again to stop at once");
    })?;
    Ok(raised)
}
