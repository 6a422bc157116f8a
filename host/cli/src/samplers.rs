//! Plugins that change how tokens are chosen, in commands that generate.

use std::time::Duration;

use clap::Args;
use swift_infer::Sampler;
use swift_runtime::{Generation, Limits, Plugin};

use crate::grants::{Allowances, GrantTable};
use crate::plugins::Plugins;
use crate::report::UsageError;

/// Which samplers there are, their hyper-parameters, and what they may take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Samplers")]
pub(crate) struct SamplerArguments {
    /// Plugins that change how tokens are chosen. `infer` applies all of them, in this order; to `deploy` each request says
    /// which it wants, as `"sampler": "NAME"`
    #[arg(long, value_name = "NAME|PATH|REFERENCE", value_delimiter = ',', num_args = 1..)]
    sampler_plugin: Vec<String>,
    /// A hyper-parameter of one of them. VALUE is JSON, or else text
    #[arg(long, value_name = "[NAME.]KEY=VALUE", requires = "sampler_plugin")]
    plugin_arg: Vec<String>,
    /// What one of them may do outside of its sandbox, or take more than others, as in `run`
    #[arg(long, value_name = "NAME.KEY=VALUE", requires = "sampler_plugin")]
    grant: Vec<String>,
    /// Seconds that one call of a sampler may take, not counting the work it has the host do; all answers wait for it
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    plugin_timeout: f64,
    /// MiB of memory that a sampler may use for itself
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    plugin_memory: u64,
}

impl SamplerArguments {
    /// Starts them, for a model with so many token ids. Each is tried once, so that what it refuses is known before anything
    /// is answered.
    pub(crate) fn start(&self, plugins: &Plugins, vocab_size: usize) -> anyhow::Result<Vec<Sampler>> {
        let selection = plugins.only(&self.sampler_plugin)?;
        let values = selection.values(&self.plugin_arg, None)?;
        let call_time = Duration::try_from_secs_f64(self.plugin_timeout)
            .map_err(|error| UsageError::new("`--plugin-timeout` is no time").caused_by(error))?;
        let memory_bytes = self.plugin_memory.saturating_mul(1 << 20);
        let grants = GrantTable::parse(&self.grant, &selection)?;
        let limits = Limits { call_time, memory_bytes, ..Limits::default() };
        let allowances = Allowances { limits, grants: &grants };
        let start = |plugin: &Plugin| {
            let given = values.get(plugin.name()).cloned().unwrap_or_default();
            let mut sampler = plugin.sampler(&given, &allowances.of(plugin))?;
            sampler
                .adjust(&vec![0.0; vocab_size], Generation { prompt: vec![0], ..Generation::default() })?;
            Ok(Sampler::new(sampler))
        };
        selection.plugins().map(start).collect()
    }
}
