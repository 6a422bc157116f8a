//! `cargo xtask bench train [--peer ms-swift]`: training, beside the peer's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{PEER_PYTHON, folder, large_model, peer_python};
use crate::synthetic::{Random, write_rows};
use crate::{build, plugins};

/// Optimiser steps of a training benchmark; the first is left out of the speed.
const STEPS: usize = 3;

/// What one training run showed.
struct Figures {
    tokens_per_second: f64,
    seconds_per_step: f64,
    peak_gib: f64,
    first_step: Duration,
}

pub(super) fn run(with_peer: bool) -> Result<()> {
    plugins::run(&[])?;
    let swift_host = build::swift_host()?;
    let (model, folder) = (large_model()?, folder()?);
    let data = folder.join("conversations.jsonl");
    write_conversations(&data)?;
    let flags = |words: &[&str]| -> Vec<String> {
        let [model, data] = [&model, &data].map(|path| path.display().to_string());
        let common = [
            "--model",
            &model,
            "--dataset",
            &data,
            "--template",
            "chatml",
            "--lora_rank",
            "8",
            "--lora_alpha",
            "32",
            "--torch_dtype",
            "float32",
            "--per_device_train_batch_size",
            "4",
            "--gradient_accumulation_steps",
            "1",
            "--max_steps",
            &STEPS.to_string(),
            "--logging_steps",
            "1",
            "--save_strategy",
            "no",
            "--max_length",
            "512",
        ];
        words.iter().chain(&common).map(|word| (*word).to_owned()).collect()
    };

    let ours = {
        let output = fresh(&folder.join("swift-host"))?;
        let mut command = Command::new(&swift_host);
        command.arg("run").args(flags(&["--output-dir", &output.display().to_string()]));
        measure(command, &output)?
    };
    print_header();
    print("swift-host", &ours);
    if with_peer {
        let output = fresh(&folder.join("ms-swift"))?;
        let mut command = Command::new(peer_python());
        // The module itself, since the `swift` command starts another process whose memory would not be seen.
        let start = "import sys; from swift.pipelines import sft_main; sft_main(sys.argv[1:])";
        command.args(["-c", start]).args(flags(&[
            "--output_dir",
            &output.display().to_string(),
            "--add_version",
            "false",
            "--model_type",
            "qwen2",
            "--use_cpu",
            "true",
            "--tuner_type",
            "lora",
            "--dataloader_num_workers",
            "0",
        ]));
        command.envs([("USE_HF", "1"), ("HF_HUB_OFFLINE", "1"), ("TOKENIZERS_PARALLELISM", "false")]);
        let theirs = measure(command, &output)
            .with_context(|| format!("the peer failed; `{PEER_PYTHON}` names a Python that has ms-swift"))?;
        print("ms-swift", &theirs);
        println!(
            "{:12} {:>12.2} {:>12.2} {:>12.2} {:>12.2}",
            "ratio",
            ours.tokens_per_second / theirs.tokens_per_second,
            ours.seconds_per_step / theirs.seconds_per_step,
            ours.peak_gib / theirs.peak_gib,
            ours.first_step.as_secs_f64() / theirs.first_step.as_secs_f64()
        );
    }
    Ok(())
}

/// Four conversations a step, of about 230 tokens each (a token is a byte here).
fn write_conversations(path: &Path) -> Result<()> {
    const WORDS: [&str; 12] = [
        "river", "stone", "letter", "garden", "engine", "window", "number", "summer", "paper", "copper",
        "story", "road",
    ];
    let mut random = Random(5);
    let mut text = |length: usize| {
        let mut text = String::new();
        while text.len() < length {
            let word = usize::try_from(random.below(WORDS.len() as u64)).unwrap_or_default();
            text.push_str(WORDS.get(word).copied().unwrap_or_default());
            text.push(' ');
        }
        text.trim_end().to_owned()
    };
    let rows: Vec<Value> = (0..4 * STEPS)
        .map(|_| {
            json!({"messages": [{"role": "user", "content": text(70)}, {"role": "assistant", "content": text(125)}]})
        })
        .collect();
    write_rows(path, &rows)
}

fn fresh(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(folder.to_owned())
}

/// Runs a training to its end, watching its memory and its log.
fn measure(mut command: Command, output: &Path) -> Result<Figures> {
    eprintln!("{command:?}");
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn().context("can't start it")?;
    let (mut peak_kib, mut steps) = (0, Vec::<Instant>::new());
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak_kib = peak_kib.max(peak(&child));
        let logged = log_lines(output).len();
        steps.resize_with(logged.min(STEPS).max(steps.len()), Instant::now);
        std::thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        bail!("it ended with {status}");
    }
    let tokens = 4.0 * 232.0;
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { bail!("it logged no step") };
    let seconds_per_step = (*last - *first).as_secs_f64() / (steps.len() - 1).max(1) as f64;
    Ok(Figures {
        tokens_per_second: tokens / seconds_per_step,
        seconds_per_step,
        peak_gib: peak_kib as f64 / f64::from(1 << 20),
        first_step: *first - started,
    })
}

/// The largest resident set so far, in KiB, as the kernel counts it.
pub(super) fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
}

/// The steps that a run has logged.
fn log_lines(output: &Path) -> Vec<Value> {
    let text = fs::read_to_string(output.join("logging.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line.get("grad_norm").is_some()).collect()
}

fn print_header() {
    println!("{:12} {:>12} {:>12} {:>12} {:>12}", "", "tokens/s", "s/step", "peak GiB", "first step s");
}

fn print(name: &str, figures: &Figures) {
    println!(
        "{name:12} {:>12.1} {:>12.2} {:>12.2} {:>12.1}",
        figures.tokens_per_second,
        figures.seconds_per_step,
        figures.peak_gib,
        figures.first_step.as_secs_f64()
    );
}
