//! Exactness: a killed run goes on as if nothing had happened, and the number of threads changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use swift_tests::{Run, golden, last_checkpoint, swift_host};

/// A run with everything that has state: dropout, shuffling, accumulation, a schedule, and checkpoints on the way.
fn arguments() -> Vec<String> {
    let model = golden("tiny-qwen2").display().to_string();
    let data = golden("traces/sft_grad_accum/data.jsonl").display().to_string();
    let words = [
        "--model",
        &model,
        "--dataset",
        &data,
        "--template",
        "qwen",
        "--lora-rank",
        "4",
        "--lora-dropout",
        "0.1",
        "--per-device-train-batch-size",
        "2",
        "--gradient-accumulation-steps",
        "2",
        "--max-steps",
        "24",
        "--save-steps",
        "3",
        "--logging-steps",
        "1",
        "--learning-rate",
        "1e-3",
        "--max-length",
        "512",
    ];
    words.map(str::to_owned).to_vec()
}

/// The files of a checkpoint that say what was learned.
fn weights(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let checkpoint = last_checkpoint(run).unwrap();
    assert!(checkpoint.ends_with("checkpoint-24"), "the last checkpoint is {}", checkpoint.display());
    fs::read_dir(checkpoint)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect()
}

/// A duration below `limit` that nobody chose.
fn random_below(limit: Duration) -> Duration {
    let seed = RandomState::new().hash_one(());
    limit.mul_f64((seed >> 11) as f64 / (1u64 << 53) as f64)
}

#[test]
fn a_run_that_was_killed_and_resumed_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let whole = Run::succeed(folder.path(), "whole", &arguments()).unwrap();
    let whole_duration = started.elapsed();
    let expected = weights(&whole.folder);
    assert!(expected.len() >= 2, "weights and optimiser state: {:?}", expected.keys());

    // Kill it some time after a certain checkpoint appears: at another moment of a step, or of a save, each time.
    for (attempt, doomed_at) in [3u64, 9, 15].into_iter().enumerate() {
        let delay = random_below(whole_duration / 4);
        let output = folder.path().join(format!("killed-{attempt}"));
        let mut command = swift_host(folder.path()).unwrap();
        command
            .arg("run")
            .args(arguments())
            .arg("--output-dir")
            .arg(&output)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let marker = output.join(format!("checkpoint-{doomed_at}"));
        while !marker.exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let moment = Instant::now() + delay;
        while Instant::now() < moment && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let mut command = swift_host(folder.path()).unwrap();
        command
            .arg("run")
            .args(arguments())
            .arg("--output-dir")
            .arg(&output)
            .args(["--resume-from-checkpoint", "last"]);
        let resumed = command.output().unwrap();
        assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
        assert_eq!(weights(&output), expected, "killed {delay:?} after checkpoint {doomed_at}");
        let numbers = |run: &Path| -> Vec<[String; 3]> {
            let text = fs::read_to_string(run.join("logging.jsonl")).unwrap();
            text.lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .filter(|line| line.get("grad_norm").is_some())
                .map(|line| ["loss", "grad_norm", "learning_rate"].map(|key| line[key].to_string()))
                .collect()
        };
        assert_eq!(numbers(&output), numbers(&whole.folder), "the log reads as that of an uninterrupted run");
    }
}

#[test]
fn one_and_two_threads_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let run = |threads: &str| {
        let arguments = [arguments(), vec!["--threads".to_owned(), threads.to_owned()]].concat();
        weights(&Run::succeed(folder.path(), threads, &arguments).unwrap().folder)
    };
    assert_eq!(run("1"), run("2"));
}
