//! `cargo xtask bench train [lengths] [--peer ms-swift] [--case TEXT]`: training, beside the peer's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::{PEER_PYTHON, folder, large_model, peer_python};
use crate::synthetic::{Random, write_rows};
use crate::{build, plugins};

/// Optimiser steps of a training benchmark; the first is left out of the speed.
const STEPS: usize = 3;
/// Tokens of a conversation that are not its texts: names of roles and what ends them.
const MARKS: usize = 21;

/// A kind of training.
struct Case {
    loss: &'static str,
    tuner: &'static str,
    dtype: &'static str,
    /// Rows of a step, and tokens of each sequence.
    rows: usize,
    length: usize,
}

impl Case {
    const fn of(loss: &'static str, tuner: &'static str, dtype: &'static str) -> Self {
        Self { loss, tuner, dtype, rows: 4, length: 232 }
    }

    const fn long(rows: usize, length: usize) -> Self {
        Self { rows, length, ..Self::of("sft", "lora", "bfloat16") }
    }

    fn is_pair(&self) -> bool {
        self.loss == "dpo"
    }

    /// Tokens of a step.
    fn tokens(&self) -> usize {
        self.rows * self.length * if self.is_pair() { 2 } else { 1 }
    }

    fn name(&self) -> String {
        format!("{} {} {}, {} x {}", self.loss, self.tuner, self.dtype, self.rows, self.length)
    }
}

/// In both types, for there are processors on which the peer multiplies bfloat16 number by number.
const METHODS: [Case; 6] = [
    Case::of("sft", "lora", "bfloat16"),
    Case::of("sft", "lora", "float32"),
    Case::of("dpo", "lora", "bfloat16"),
    Case::of("dpo", "lora", "float32"),
    Case::of("sft", "full", "bfloat16"),
    Case::of("sft", "full", "float32"),
];

/// The same number of tokens in sequences of other lengths, as far as that goes.
const LENGTHS: [Case; 5] =
    [Case::long(16, 64), Case::long(4, 256), Case::long(1, 1024), Case::long(1, 2048), Case::long(1, 4096)];

/// What one training run showed.
struct Figures {
    tokens_per_second: f64,
    seconds_per_step: f64,
    peak_gib: f64,
    first_step: Duration,
}

impl Figures {
    fn numbers(&self) -> [f64; 4] {
        [self.tokens_per_second, self.seconds_per_step, self.peak_gib, self.first_step.as_secs_f64()]
    }

    fn json(&self) -> Value {
        let [tokens_per_second, seconds_per_step, peak_gib, first_step_seconds] = self.numbers();
        json!({ "tokens_per_second": tokens_per_second, "seconds_per_step": seconds_per_step,
                "peak_gib": peak_gib, "first_step_seconds": first_step_seconds })
    }
}

/// What is measured.
#[derive(Default)]
pub(super) struct Options<'a> {
    /// Lengths instead of methods.
    lengths: bool,
    with_peer: bool,
    /// Only cases with this in their name.
    case: &'a str,
}

impl<'a> Options<'a> {
    pub(super) fn read(words: &[&'a str]) -> Result<Self> {
        let (lengths, rest) = match words {
            ["lengths", rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut options = Self { lengths, ..Self::default() };
        for pair in rest.chunks(2) {
            match *pair {
                ["--peer", "ms-swift"] => options.with_peer = true,
                ["--case", case] => options.case = case,
                _ => bail!("`{}` is not known here", pair.join(" ")),
            }
        }
        Ok(options)
    }
}

pub(super) fn run(options: &Options<'_>) -> Result<()> {
    if options.with_peer {
        find_peer()?;
    }
    plugins::run(&[])?;
    let swift_host = build::swift_host()?;
    let (cases, kept) =
        if options.lengths { (&LENGTHS[..], "lengths.json") } else { (&METHODS[..], "train.json") };
    let head = ["tokens/s", "s/step", "peak GiB", "first step s"];
    println!("{:36} {:12} {:>12} {:>12} {:>12} {:>12}", "", "", head[0], head[1], head[2], head[3]);
    let mut lines = Vec::new();
    for case in cases.iter().filter(|case| case.name().contains(options.case)) {
        let ours = case.ours(&swift_host)?;
        print(&case.name(), "swift-host", ours.numbers());
        let mut line =
            Map::from_iter([("case".into(), case.name().into()), ("swift-host".into(), ours.json())]);
        if options.with_peer {
            let theirs = case.peers().context("the peer failed")?;
            print("", "ms-swift", theirs.numbers());
            let pairs = ours.numbers().into_iter().zip(theirs.numbers());
            let ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
            if let [speed, step, memory, first] = ratios.as_slice() {
                print("", "ratio", [*speed, *step, *memory, *first]);
            }
            line.extend([("ms-swift".into(), theirs.json()), ("ratio".into(), json!(ratios))]);
        }
        lines.push(line);
    }
    let path = folder()?.join(kept);
    fs::write(&path, serde_json::to_string_pretty(&lines)?)?;
    println!("written to `{}`", path.display());
    Ok(())
}

impl Case {
    fn ours(&self, swift_host: &Path) -> Result<Figures> {
        let output = fresh("swift-host")?;
        let mut command = Command::new(swift_host);
        command.args(["run", "--plugin", self.loss]).args(self.flags()?).arg("--output-dir").arg(&output);
        self.measure(command, &output)
    }

    fn peers(&self) -> Result<Figures> {
        let output = fresh("ms-swift")?;
        let mut command = Command::new(peer_python());
        // The module itself, since the `swift` command starts another process whose memory would not be seen.
        let main = if self.is_pair() { "rlhf_main" } else { "sft_main" };
        let start = format!("import sys; from swift.pipelines import {main}; {main}(sys.argv[1:])");
        command.args(["-c", &start]).args(self.flags()?).arg("--output_dir").arg(&output);
        if self.is_pair() {
            command.args(["--rlhf_type", self.loss]);
        }
        command.args(
            "--add_version false --model_type qwen2 --use_cpu true --dataloader_num_workers 0".split(' '),
        );
        command.envs([("USE_HF", "1"), ("HF_HUB_OFFLINE", "1"), ("TOKENIZERS_PARALLELISM", "false")]);
        self.measure(command, &output)
    }

    /// What both programs are told.
    fn flags(&self) -> Result<Vec<String>> {
        let data = folder()?.join(format!("{} {} {}.jsonl", self.loss, self.rows, self.length));
        self.write_rows(&data)?;
        let (rows, length, steps) = (self.rows.to_string(), (self.length * 2).to_string(), STEPS.to_string());
        let [model, data] = [large_model()?, data].map(|path| path.display().to_string());
        let pairs = [
            ("model", model.as_str()),
            ("dataset", &data),
            ("template", "chatml"),
            ("tuner_type", self.tuner),
            ("torch_dtype", self.dtype),
            ("per_device_train_batch_size", &rows),
            ("gradient_accumulation_steps", "1"),
            ("max_steps", &steps),
            ("logging_steps", "1"),
            ("save_strategy", "no"),
            ("max_length", &length),
        ];
        let lora: &[_] = if self.tuner == "lora" { &[("lora_rank", "8"), ("lora_alpha", "32")] } else { &[] };
        let pairs = pairs.iter().chain(lora);
        Ok(pairs.flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]).collect())
    }

    /// Conversations of this length (a token is a byte here), or pairs of them.
    fn write_rows(&self, path: &Path) -> Result<()> {
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
            text.truncate(length);
            text
        };
        let question = (self.length - MARKS) / 3;
        let answer = self.length - MARKS - question;
        let row = |_| {
            let messages = json!([{"role": "user", "content": text(question)},
                                  {"role": "assistant", "content": text(answer)}]);
            match self.is_pair() {
                true => json!({ "messages": messages, "rejected_response": text(answer) }),
                false => json!({ "messages": messages }),
            }
        };
        write_rows(path, &(0..self.rows * STEPS).map(row).collect::<Vec<_>>())
    }

    /// Runs a training to its end, watching its memory and its log.
    fn measure(&self, mut command: Command, output: &Path) -> Result<Figures> {
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
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { bail!("it logged no step") };
        let seconds_per_step = (*last - *first).as_secs_f64() / (steps.len() - 1).max(1) as f64;
        Ok(Figures {
            tokens_per_second: self.tokens() as f64 / seconds_per_step,
            seconds_per_step,
            peak_gib: peak_kib as f64 / f64::from(1 << 20),
            first_step: *first - started,
        })
    }
}

/// Fails if there is no peer, before anything has been measured.
fn find_peer() -> Result<()> {
    let python = peer_python();
    let status = Command::new(&python).args(["-c", "import swift"]).stdin(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        bail!("`{python}` has no ms-swift; `{PEER_PYTHON}` names a Python that has");
    }
    Ok(())
}

/// A folder for what a program writes, which is not there yet.
fn fresh(program: &str) -> Result<PathBuf> {
    let folder = folder()?.join(program);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    Ok(folder)
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

fn print(case: &str, program: &str, numbers: [f64; 4]) {
    let [speed, step, memory, first] = numbers;
    println!("{case:36} {program:12} {speed:>12.2} {step:>12.2} {memory:>12.2} {first:>12.2}");
}
