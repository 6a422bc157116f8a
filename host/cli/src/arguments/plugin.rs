//! Flags about plugins.

use std::path::PathBuf;

use clap::Args;

/// Which plugins take part, and their hyper-parameters.
#[derive(Debug, Clone, Args, serde::Serialize)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct PluginArguments {
    /// Plugins by name, path or reference (`oci://…`, `https://…#sha256=…`): one loss, one schedule and one optimiser, and
    /// any number of the others; `swift-host plugin list` shows the standard ones [default: sft]
    #[arg(long, value_name = "NAME|PATH|REFERENCE", value_delimiter = ',')]
    pub(crate) plugin: Vec<String>,
    /// Plugins that judge answers, besides those in `--plugin`, for losses that learn from answers of the model: any number,
    /// in this order
    #[arg(long, alias = "reward-funcs", value_name = "NAME|PATH|REFERENCE", value_delimiter = ',', num_args = 1..)]
    pub(crate) reward_plugin: Vec<String>,
    /// A hyper-parameter of a plugin. VALUE is JSON, or else text. One that belongs to a single plugin can also be a flag of
    /// its own: `--beta 0.2`
    #[arg(long, value_name = "[NAME.]KEY=VALUE")]
    #[serde(skip)]
    pub(crate) plugin_arg: Vec<String>,
    /// Run with the plugins that a lock file pins by their digests, and with no others. The lock file is that of `--lock`, or
    /// else of the run that is resumed
    #[arg(long)]
    pub(crate) locked: bool,
    /// The `run.lock.json` of an earlier run, for `--locked`
    #[arg(long, value_name = "FILE", requires = "locked")]
    pub(crate) lock: Option<PathBuf>,
    /// What a plugin may do outside of its sandbox, or take more than others: `reward.read=./data`, also as
    /// `./data::/data`, `reward.write=./out`, `reward.env=API_KEY`, `reward.hosts=127.0.0.1:8080`, `reward.memory=1024`,
    /// `reward.timeout=60`
    #[arg(long, value_name = "NAME.KEY=VALUE")]
    #[serde(skip)]
    pub(crate) grant: Vec<String>,
    /// Seconds that one call of a plugin may take, not counting the work it has the host do
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(crate) plugin_timeout: f64,
    /// MiB of memory that a plugin may use for itself, not counting the tensors that the host keeps for it
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub(crate) plugin_memory: u64,
    /// Show each operation that plugins ask the host for, with its time, the plugin and its function, and what shapes go in
    /// and come out: as JSON lines in FILE, or in columns on stderr if no file is named. What is in FILE is replaced
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[serde(skip)]
    pub(crate) trace_plugin: Option<Option<PathBuf>>,
}
