use std::sync::Arc;

use wasmtime::component::Resource;

use crate::Result;
use crate::bindings::metric::exports::swift::plugin::metric as contract;
use crate::guest::Guest;
use crate::host::batch::{BATCH, POLICY};
use crate::store::{Usage, Views};
use crate::views::{BatchView, OutputsView};

/// A plugin at work as a metric.
pub struct MetricPlugin {
    guest: Guest<contract::Guest>,
}

impl MetricPlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// What the last call took.
    pub fn usage(&self) -> Usage {
        self.guest.usage()
    }

    /// Shows it one batch of the validation set.
    ///
    /// # Errors
    /// If the plugin fails, crashes or takes too much.
    pub fn observe(&mut self, batch: Arc<dyn BatchView>, policy: Arc<dyn OutputsView>) -> Result<()> {
        self.guest.call(
            "observe",
            Views { batch: Some(batch), policy: Some(policy), ..Views::default() },
            |metric, store| {
                metric.call_observe(store, Resource::new_borrow(BATCH), Resource::new_borrow(POLICY))
            },
            |observed, _| Ok(observed?),
        )
    }

    /// The numbers of all batches since the last call, by name.
    ///
    /// # Errors
    /// If the plugin fails, crashes or takes too much.
    pub fn finish(&mut self) -> Result<Vec<(String, f64)>> {
        let call = |metric: &contract::Guest, store: &mut _| metric.call_finish(store);
        self.guest.call("finish", Views::default(), call, |numbers, _| Ok(numbers?))
    }
}
