//! `cargo xtask bench startup`: from the command to the first step, and the memory that it takes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{folder, large_model};
use crate::synthetic::write_rows;
use crate::{build, plugins};

/// Runs of each kind; the best counts, since whatever else happens on the machine only adds to it.
const RUNS: usize = 3;

const MIB: f64 = (1 << 20) as f64;

/// What one run showed.
#[derive(Clone, Copy)]
struct Figures {
    /// Until the model is loaded and the data are tokens.
    ready: Duration,
    /// Until the first step is logged.
    first_step: Duration,
    /// The largest resident set until then, in bytes, before and after the first step.
    loading_peak: u64,
    step_peak: u64,
}

pub(super) fn run() -> Result<()> {
    plugins::run(&[])?;
    let swift_host = build::swift_host()?;
    let (model, folder) = (large_model()?, folder()?.join("startup"));
    let data = folder.join("row.jsonl");
    fs::create_dir_all(&folder)?;
    let row =
        json!({"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]});
    write_rows(&data, &[row])?;
    let stored = fs::metadata(model.join("model.safetensors"))?.len();
    println!(
        "{:10} {:10} {:>8} {:>12} {:>10} {:>12} {:>7} {:>10}",
        "dtype", "plugins", "ready s", "first step s", "model MiB", "loading MiB", "ratio", "step MiB"
    );
    let mut lines = Vec::new();
    for (dtype, bytes) in [("float32", stored), ("bfloat16", stored / 2)] {
        for (plugins, cold) in [("to compile", true), ("compiled", false)] {
            let runs = (0..RUNS).map(|_| {
                let cache = folder.join("cache");
                if cold && cache.exists() {
                    fs::remove_dir_all(&cache)?;
                }
                measure(command(&swift_host, &model, &data, dtype, &folder)?)
            });
            let runs = runs.collect::<Result<Vec<_>>>()?;
            let best = runs.into_iter().min_by_key(|run| run.first_step).context("nothing was run")?;
            lines.push(line(dtype, plugins, bytes, best));
        }
    }
    let path = super::folder()?.join("startup.json");
    fs::write(&path, serde_json::to_string_pretty(&lines)? + "\n")?;
    println!("{}", path.display());
    Ok(())
}

/// One step on one row, with a cache and an output folder of its own.
fn command(swift_host: &Path, model: &Path, data: &Path, dtype: &str, folder: &Path) -> Result<Command> {
    let output = folder.join("output");
    if output.exists() {
        fs::remove_dir_all(&output)?;
    }
    let mut command = Command::new(swift_host);
    command.arg("run").arg("--model").arg(model).arg("--dataset").arg(data).arg("--output-dir").arg(output);
    command.args(["--dtype", dtype, "--max-steps", "1", "--gradient-accumulation-steps", "1"]);
    command.args(["--logging-steps", "1", "--save-strategy", "no"]);
    command.env("SWIFT_HOST_CACHE", folder.join("cache"));
    Ok(command)
}

/// Runs it to its end, and looks at its memory whenever it says something.
fn measure(mut command: Command) -> Result<Figures> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("can't start it")?;
    let stderr = child.stderr.take().context("it has no stderr")?;
    let (mut ready, mut first_step, mut said) = (None, None, String::new());
    for line in BufReader::new(stderr).lines() {
        let (line, now) = (line?, started.elapsed());
        if line.contains(" steps in ") {
            ready = Some((now, super::train::peak(&child) << 10));
        } else if line.contains(" loss ") && first_step.is_none() {
            first_step = Some((now, super::train::peak(&child) << 10));
        }
        said.push_str(&line);
        said.push('\n');
    }
    let status = child.wait()?;
    let (Some((ready, loading_peak)), Some((first_step, step_peak))) = (ready, first_step) else {
        bail!("it ended with {status} and made no step:\n{said}");
    };
    Ok(Figures { ready, first_step, loading_peak, step_peak })
}

/// Prints a line of the table, and gives it as JSON.
fn line(dtype: &str, plugins: &str, model: u64, figures: Figures) -> Value {
    let Figures { ready, first_step, loading_peak, step_peak } = figures;
    let [ready, first_step] = [ready, first_step].map(|time| time.as_secs_f64());
    let ratio = loading_peak as f64 / model as f64;
    println!(
        "{dtype:10} {plugins:10} {ready:>8.2} {first_step:>12.2} {:>10.0} {:>12.0} {ratio:>7.3} {:>10.0}",
        model as f64 / MIB,
        loading_peak as f64 / MIB,
        step_peak as f64 / MIB
    );
    json!({
        "dtype": dtype, "plugins": plugins, "ready_seconds": ready, "first_step_seconds": first_step,
        "model_bytes": model, "loading_peak_bytes": loading_peak, "loading_peak_ratio": ratio,
        "step_peak_bytes": step_peak,
    })
}
