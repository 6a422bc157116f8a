//! What the plugin that is checked asked the host to compute.

use std::collections::BTreeSet;
use std::mem;
use std::sync::{Mutex, PoisonError};

use swift_runtime::{Operation, Trace};

/// Remembers operations until they are taken.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Recorded>);

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// How many operations.
    pub(crate) count: usize,
    /// Their names.
    pub(crate) names: BTreeSet<String>,
}

impl Recorded {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

impl Recorder {
    /// What was asked for since the last time.
    pub(crate) fn take(&self) -> Recorded {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Trace for Recorder {
    fn operation(&self, _: &str, operation: &Operation) {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.count += 1;
        if !recorded.has(&operation.name) {
            recorded.names.insert(operation.name.clone());
        }
    }
}
