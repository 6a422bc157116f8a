use crate::Result;
use crate::bindings::schedule::exports::swift::plugin::schedule as contract;
use crate::guest::Guest;
use crate::instance::Rejection;
use crate::store::Views;

/// A plugin at work as a learning-rate schedule.
pub struct SchedulePlugin {
    guest: Guest<contract::Guest>,
}

impl SchedulePlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// The factor on the learning rate for the step that follows `step` steps of `max_steps`, neither counting the warm-up.
    ///
    /// # Errors
    /// If the plugin fails, crashes, takes too much, or gives what is no number from 0 on.
    pub fn factor(&mut self, step: u64, max_steps: u64) -> Result<f64> {
        self.guest.call(
            "factor",
            Views::default(),
            |schedule, store| schedule.call_factor(store, step, max_steps),
            |factor, _| match factor.map_err(Rejection::Failed)? {
                factor if factor.is_finite() && factor >= 0.0 => Ok(factor),
                factor => Err(Rejection::Wrong(format!("a factor on the learning rate is not {factor}"))),
            },
        )
    }
}
