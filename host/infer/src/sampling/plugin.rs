use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use swift_runtime::{Generation, SamplerPlugin};

use super::{LogitsProcessor, Progress};
use crate::Result;

/// A sampler plugin at work on one answer. All answers share the plugin, which is started anew when it crashes; what it remembers
/// is each answer's own.
#[derive(Clone)]
pub struct Sampler {
    name: Arc<str>,
    plugin: Arc<Mutex<SamplerPlugin>>,
    memory: Option<String>,
}

impl Sampler {
    /// For answers that have not begun.
    pub fn new(plugin: SamplerPlugin) -> Self {
        Self { name: plugin.name().into(), plugin: Arc::new(Mutex::new(plugin)), memory: None }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field("name", &self.name)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

impl LogitsProcessor for Sampler {
    fn process(&mut self, progress: &Progress<'_>, logits: &mut [f32]) -> Result<()> {
        let generation = Generation {
            prompt: progress.prompt.to_vec(),
            answer: progress.generated.to_vec(),
            seed: progress.seed,
            memory: self.memory.take(),
        };
        let mut plugin = self.plugin.lock().unwrap_or_else(PoisonError::into_inner);
        let adjusted = plugin.adjust(logits, generation)?;
        logits.copy_from_slice(&adjusted.logits);
        self.memory = adjusted.memory;
        Ok(())
    }

    fn fork(&self) -> Box<dyn LogitsProcessor> {
        Box::new(self.clone())
    }
}
