//! `swift-host export`: a model with an adapter in its weights.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use swift_model::{MergeOptions, ModelConfig, merge_adapter};
use swift_runtime::Limits;

use crate::arguments::Dtype;
use crate::console::Console;
use crate::definition::definition;
use crate::plugins::Plugins;
use crate::report::UsageError;

/// The arguments of `swift-host export`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArguments {
    /// Folder of the model that the adapter was trained on
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) model: PathBuf,
    /// Folder of the adapter
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) adapters: PathBuf,
    /// Write the adapter into the weights of the model; the only form there is
    #[arg(long, value_name = "BOOL", default_value = "false", num_args = 0..=1, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub(crate) merge_lora: bool,
    /// The folder to write, which must not be there or be empty [default: the adapter's with `-merged` at its end]
    #[arg(long, alias = "output-dir", value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Element type of the weights: `float32`, `bfloat16`, `float16` or `float64` [default: each keeps its own]
    #[arg(long, alias = "torch-dtype", value_enum, hide_possible_values = true, value_name = "NAME")]
    pub(crate) dtype: Option<Dtype>,
    /// The most bytes of one weights file: `5GB`, `500MB`, `2GiB` or a number
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = size)]
    pub(crate) max_shard_size: NonZeroUsize,
    /// Model plugins by name, path or reference, besides the standard ones
    #[arg(long, value_name = "NAME|PATH|REFERENCE", value_delimiter = ',')]
    pub(crate) plugin: Vec<String>,
    /// Number of CPU threads; the results do not depend on it [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// Merges, and prints where to.
pub(crate) fn export(
    arguments: &ExportArguments,
    plugins: &Plugins,
    console: &Console,
) -> anyhow::Result<ExitCode> {
    if !arguments.merge_lora {
        return Err(UsageError::new("There is nothing to do")
            .hint("`--merge-lora` writes the model with the adapter in its weights")
            .into());
    }
    let output = arguments.output.clone().unwrap_or_else(|| beside(&arguments.adapters));
    let config = ModelConfig::read(&arguments.model)?;
    let chosen =
        arguments.plugin.iter().map(|name| plugins.resolve(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let (_, definition) = definition(&config, &chosen, plugins, |_| Limits::default())?;
    let options =
        MergeOptions { dtype: arguments.dtype.map(Into::into), shard_bytes: arguments.max_shard_size.get() };
    let merged = merge_adapter(&arguments.model, &arguments.adapters, definition, &output, &options)?;
    let replaced = match merged.replaced {
        0 => String::new(),
        count => format!(", {count} replaced"),
    };
    console.line(&format!(
        "{} of {} tensors changed{replaced}, {} bytes in all",
        merged.changed, merged.tensors, merged.bytes
    ));
    println!("merged: {}", output.display());
    Ok(ExitCode::SUCCESS)
}

/// `checkpoint-100-merged` beside `checkpoint-100`, as ms-swift has it.
fn beside(adapter: &Path) -> PathBuf {
    let mut name = adapter.file_name().unwrap_or("adapter".as_ref()).to_os_string();
    name.push("-merged");
    adapter.with_file_name(name)
}

/// A number of bytes, in the units of transformers: `GB` is 10^9, `GiB` 2^30.
fn size(text: &str) -> Result<NonZeroUsize, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => Some(1),
        "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "KIB" => Some(1 << 10),
        "MIB" => Some(1 << 20),
        "GIB" => Some(1 << 30),
        _ => None,
    };
    let bytes = factor.zip(number.parse::<usize>().ok()).and_then(|(factor, n)| n.checked_mul(factor));
    bytes
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| "it takes a number above 0 and a unit, such as `5GB`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_units_of_transformers() {
        let bytes = |text| size(text).map(NonZeroUsize::get).ok();
        assert_eq!(
            ["5GB", "2GiB", "10kb", "3MiB", "7", "8B"].map(bytes),
            [Some(5_000_000_000), Some(2 << 30), Some(10_000), Some(3 << 20), Some(7), Some(8)]
        );
        assert_eq!(["", "GB", "0", "-1", "5XB", "1.5GB", "99999999999999GB"].map(bytes), [None; 7]);
    }

    #[test]
    fn the_merged_model_lies_beside_the_adapter() {
        assert_eq!(beside(Path::new("out/checkpoint-3/")), Path::new("out/checkpoint-3-merged"));
    }
}
