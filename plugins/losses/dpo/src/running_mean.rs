//! What `bco_pair` remembers.

use swift_plugin::prelude::*;

/// The mean of what was seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RunningMean {
    pub(crate) mean: f64,
    pub(crate) count: f64,
}

impl RunningMean {
    /// With one more observation.
    pub(crate) fn and(self, observation: f64) -> Self {
        let count = self.count + 1.0;
        Self { mean: self.mean + (observation - self.mean) / count, count }
    }

    /// As it is written into a checkpoint; nothing if nothing was seen.
    pub(crate) fn to_state(self) -> String {
        if self.count == 0.0 { String::new() } else { format!("[{}, {}]", self.mean, self.count) }
    }

    /// What [`to_state`](Self::to_state) gave.
    pub(crate) fn from_state(state: &str) -> Result<Self> {
        if state.is_empty() {
            return Ok(Self::default());
        }
        let numbers = state.parse::<Value>().ok();
        let numbers = numbers.as_ref().and_then(Value::as_array).map(Vec::as_slice);
        match numbers.map(|numbers| numbers.iter().map(Value::as_f64).collect::<Vec<_>>()).as_deref() {
            Some([Some(mean), Some(count)]) => Ok(Self { mean: *mean, count: *count }),
            _ => bail!("`{state}` is no running mean of rewards"),
        }
    }
}
