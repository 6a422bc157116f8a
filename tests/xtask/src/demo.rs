//! `cargo xtask demo`: a small model learns to add, then to prefer right sums to wrong ones.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::synthetic::{Random, Shape, write_model, write_rows};
use crate::{build, plugins, workspace};

/// Numbers to add are below this.
const LARGEST: u64 = 32;
/// Every so many sums are held out.
const HELD_OUT: u64 = 10;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(argument) = arguments.first() {
        bail!("`cargo xtask demo` takes no arguments, and was given `{argument}`");
    }
    plugins::run(&[])?;
    let swift_host = build::swift_host()?;
    let folder = workspace::target().join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let started = Instant::now();
    write_model(&folder.join("model"), &Shape::DEMO, 7)?;
    write_sums(&folder)?;

    let step = |name: &str, arguments: &[&str]| -> Result<()> {
        eprintln!("\n{name}: swift-host run {}", arguments.join(" "));
        let status = Command::new(&swift_host).current_dir(&folder).arg("run").args(arguments).status()?;
        if !status.success() {
            bail!("{name} failed");
        }
        Ok(())
    };
    let sft = workspace::target().join("plugins/sft.wasm").display().to_string();
    let dpo = workspace::target().join("plugins/dpo.wasm").display().to_string();
    step(
        "Fine-tuning",
        &[
            "--plugin",
            &sft,
            "--model",
            "model",
            "--template",
            "chatml",
            "--tuner-type",
            "full",
            "--dataset",
            "sums.jsonl",
            "--val-dataset",
            "held_out_sums.jsonl",
            "--output-dir",
            "sft",
            "--per-device-train-batch-size",
            "64",
            "--gradient-accumulation-steps",
            "1",
            "--num-train-epochs",
            "50",
            "--learning-rate",
            "3e-3",
            "--warmup-steps",
            "20",
            "--weight-decay",
            "0.01",
            "--gradient-checkpointing",
            "false",
            "--eval-on-start",
            "true",
            "--eval-steps",
            "200",
            "--logging-steps",
            "50",
            "--save-strategy",
            "steps",
            "--save-steps",
            "10000",
        ],
    )?;
    let tuned = last_checkpoint(&folder.join("sft"))?;
    step(
        "Alignment",
        &[
            "--plugin",
            &dpo,
            "--model",
            &tuned,
            "--template",
            "chatml",
            "--lora-rank",
            "16",
            "--lora-alpha",
            "32",
            "--dataset",
            "pairs.jsonl",
            "--val-dataset",
            "held_out_pairs.jsonl",
            "--output-dir",
            "dpo",
            "--per-device-train-batch-size",
            "32",
            "--gradient-accumulation-steps",
            "1",
            "--max-steps",
            "60",
            "--learning-rate",
            "1e-3",
            "--gradient-checkpointing",
            "false",
            "--eval-on-start",
            "true",
            "--eval-steps",
            "60",
            "--logging-steps",
            "10",
            "--save-steps",
            "60",
        ],
    )?;

    println!("\n                                     before     after");
    report(&folder.join("sft"), "held-out loss (sft)", "eval_loss")?;
    report(&folder.join("sft"), "held-out token accuracy (sft)", "eval_token_acc")?;
    report(&folder.join("dpo"), "held-out loss (dpo)", "eval_loss")?;
    report(&folder.join("dpo"), "held-out reward accuracy (dpo)", "eval_rewards/accuracies")?;
    println!("\nRun time {:.0} s. Curves:", started.elapsed().as_secs_f64());
    for run in ["sft", "dpo"] {
        println!("  {}", folder.join(run).join("images").display());
    }
    Ok(())
}

/// Sums as conversations and as pairs of a right and a wrong answer; every tenth is held out of both.
fn write_sums(folder: &Path) -> Result<()> {
    let mut random = Random(11);
    let (mut sums, mut pairs) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for a in 0..LARGEST {
        for b in 0..LARGEST {
            let question = json!([{"role": "user", "content": format!("{a} + {b} =")}]);
            let with = |answer: u64| {
                let mut messages = question.as_array().cloned().unwrap_or_default();
                messages.push(json!({"role": "assistant", "content": answer.to_string()}));
                messages
            };
            let wrong = a + b + 1 + random.below(9);
            let held_out = usize::from(random.below(HELD_OUT) == 0);
            if let (Some(sums), Some(pairs)) = (sums.get_mut(held_out), pairs.get_mut(held_out)) {
                sums.push(json!({"messages": with(a + b)}));
                pairs.push(json!({"messages": with(a + b), "rejected_response": wrong.to_string()}));
            }
        }
    }
    let [train, held_out] = sums;
    write_rows(&folder.join("sums.jsonl"), &train)?;
    write_rows(&folder.join("held_out_sums.jsonl"), &held_out)?;
    let [train, held_out] = pairs;
    write_rows(&folder.join("pairs.jsonl"), &train)?;
    write_rows(&folder.join("held_out_pairs.jsonl"), &held_out)
}

fn last_checkpoint(run: &Path) -> Result<String> {
    let mut last: Option<(u64, String)> = None;
    for entry in fs::read_dir(run)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(step) = name.strip_prefix("checkpoint-").and_then(|step| step.parse().ok()) {
            last = last.max(Some((step, path.display().to_string())));
        }
    }
    Ok(last.context("the run left no checkpoint")?.1)
}

/// One line: the first and the last value of a number in a run's log.
fn report(run: &Path, what: &str, key: &str) -> Result<()> {
    let text = fs::read_to_string(run.join("logging.jsonl"))?;
    let values: Vec<f64> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?.get(key)?.as_f64())
        .collect();
    let (Some(first), Some(last)) = (values.first(), values.last()) else { bail!("`{key}` was not logged") };
    println!("{what:34} {first:8.3}  {last:8.3}");
    Ok(())
}
