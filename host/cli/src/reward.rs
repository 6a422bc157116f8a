//! Plugins as the rewards of a run.

use serde_json::{Map, Value};
use swift_runtime::{Completion, Limits, Plugin};
use swift_train::Reward;

/// A reward that is started anew for each generation, so that it remembers nothing that a checkpoint would have to keep.
pub(crate) struct PluginReward {
    plugin: Plugin,
    arguments: Map<String, Value>,
    limits: Limits,
}

impl PluginReward {
    /// The reward of a plugin.
    ///
    /// # Errors
    /// If it can't be started.
    pub(crate) fn new(
        plugin: &Plugin,
        arguments: &Map<String, Value>,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        plugin.reward(arguments, &limits)?;
        Ok(Self { plugin: plugin.clone(), arguments: arguments.clone(), limits })
    }
}

impl Reward for PluginReward {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn score(
        &mut self,
        generation: u64,
        completions: &[Completion],
    ) -> swift_train::Result<Vec<Option<f64>>> {
        // Other random numbers in each generation, and the same ones in a resumed run.
        let seed = self.limits.seed.wrapping_add(generation.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let limits = Limits { seed, ..self.limits.clone() };
        Ok(self.plugin.reward(&self.arguments, &limits)?.score(completions)?)
    }
}
