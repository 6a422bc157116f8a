//! Plugins that have a say in answers, in commands that generate.

use std::time::Duration;

use clap::Args;
use swift_infer::Sampler;
use swift_runtime::{Generation, Limits, Plugin};
use swift_serve::ToolParser;

use crate::grants::{Allowances, GrantTable};
use crate::plugins::Plugins;
use crate::report::UsageError;

/// Which samplers there are, and what they and others may take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct AnswerPluginArguments {
    /// Plugins that change how tokens are chosen. `infer` applies all of them, in this order; to `deploy` each request says
    /// which it wants, as `"sampler": "NAME"`
    #[arg(long, value_name = "NAME|PATH|REFERENCE", value_delimiter = ',', num_args = 1..)]
    sampler_plugin: Vec<String>,
    /// A hyper-parameter of a plugin. VALUE is JSON, or else text
    #[arg(long, value_name = "[NAME.]KEY=VALUE")]
    plugin_arg: Vec<String>,
    /// What a plugin may do outside of its sandbox, or take more than others, as in `run`
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    grant: Vec<String>,
    /// Seconds that one call of a plugin may take, not counting the work it has the host do; all answers wait for a sampler
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    plugin_timeout: f64,
    /// MiB of memory that a plugin may use for itself
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    plugin_memory: u64,
}

/// Plugins that are ready.
pub(crate) struct AnswerPlugins {
    pub(crate) samplers: Vec<Sampler>,
    pub(crate) tool_parser: Option<ToolParser>,
}

impl AnswerPluginArguments {
    /// Starts the samplers, for a model with so many token ids, and a parser of tool calls if one is named. Each is tried once,
    /// so that what it refuses is known before anything is answered.
    pub(crate) fn start(
        &self,
        plugins: &Plugins,
        vocab_size: usize,
        tool_parser: Option<&String>,
    ) -> anyhow::Result<AnswerPlugins> {
        let mut names = self.sampler_plugin.clone();
        // One plugin may be both.
        let place = tool_parser.map(|name| {
            names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            })
        });
        let selection = plugins.only(&names)?;
        let values = selection.values(&self.plugin_arg, None)?;
        let call_time = Duration::try_from_secs_f64(self.plugin_timeout)
            .map_err(|error| UsageError::new("`--plugin-timeout` is no time").caused_by(error))?;
        let memory_bytes = self.plugin_memory.saturating_mul(1 << 20);
        let grants = GrantTable::parse(&self.grant, &selection)?;
        let limits = Limits { call_time, memory_bytes, ..Limits::default() };
        let allowances = Allowances { limits, grants: &grants };
        let given = |plugin: &Plugin| values.get(plugin.name()).cloned().unwrap_or_default();
        let sampler = |plugin: &Plugin| {
            let mut sampler = plugin.sampler(&given(plugin), &allowances.of(plugin))?;
            sampler
                .adjust(&vec![0.0; vocab_size], Generation { prompt: vec![0], ..Generation::default() })?;
            Ok(Sampler::new(sampler))
        };
        let tool_parser = |plugin: &Plugin| {
            let mut parser = plugin.tool_parser(&given(plugin), &allowances.of(plugin))?;
            parser.parse("", true, "[]")?;
            anyhow::Ok(ToolParser::new(parser))
        };
        Ok(AnswerPlugins {
            samplers: selection
                .plugins()
                .take(self.sampler_plugin.len())
                .map(sampler)
                .collect::<anyhow::Result<_>>()?,
            tool_parser: place
                .and_then(|place| selection.plugins().nth(place))
                .map(tool_parser)
                .transpose()?,
        })
    }
}
