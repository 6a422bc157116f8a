//! `cargo xtask bench infer [--peer transformers|llama.cpp]`: reading prompts and writing answers, beside the peer.
//!
//! Each side reads a batch of prompts and writes one token each, and does it again with more tokens: the time of the first is
//! that to the first token, and the further tokens took the difference.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::load::Server;
use super::{PEER_PYTHON, folder, large_model, peer_python, train};
use crate::synthetic::Random;
use crate::{build, plugins};

/// Prompts that are answered together.
const BATCHES: [u64; 3] = [1, 8, 32];
/// Precisions as the peer's script calls them, and our flags.
const PRECISIONS: [(&str, &[&str]); 3] = [
    ("bf16", &["--dtype", "bfloat16"]),
    ("4bit", &["--dtype", "bfloat16", "--quant-bits", "4"]),
    // For processors on which the peer multiplies bfloat16 a hundred times slower.
    ("f32", &["--dtype", "float32"]),
];
/// The peer's side.
const PEER: &str = include_str!("infer.py");

/// What is measured.
pub(super) struct Options<'a> {
    pub(super) peer: Option<&'a str>,
    /// Tokens of a prompt.
    pub(super) prompt: u64,
    /// Tokens of an answer.
    pub(super) tokens: u64,
    /// How often each side does each; the best time counts.
    pub(super) rounds: u64,
    /// The only precision and batch, if one is named.
    pub(super) precision: Option<&'a str>,
    pub(super) batch: Option<u64>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { peer: None, prompt: 128, tokens: 32, rounds: 3, precision: None, batch: None }
    }
}

impl<'a> Options<'a> {
    /// Reads flags with values.
    pub(super) fn read(words: &[&'a str]) -> Result<Self> {
        let mut options = Self::default();
        for pair in words.chunks(2) {
            match *pair {
                ["--peer", peer @ ("transformers" | "llama.cpp")] => options.peer = Some(peer),
                ["--prompt", prompt] => options.prompt = prompt.parse()?,
                ["--tokens", tokens] => options.tokens = tokens.parse()?,
                ["--rounds", rounds] => options.rounds = rounds.parse()?,
                ["--precision", precision] => options.precision = Some(precision),
                ["--batch", batch] => options.batch = Some(batch.parse()?),
                _ => bail!("`{}` is not known here", pair.join(" ")),
            }
        }
        if options.prompt == 0 || options.tokens < 2 || options.rounds == 0 {
            bail!("prompts need a token, answers two, and there is one round at least");
        }
        Ok(options)
    }
}

/// What a side showed with a batch.
struct Figures {
    prefill: f64,
    decode: f64,
    first_token: f64,
}

/// Prints a table and writes it to `infer.json` in the folder of the benchmarks.
pub(super) fn run(options: &Options<'_>) -> Result<()> {
    plugins::run(&[])?;
    let swift_host = build::swift_host()?;
    let model = large_model()?;
    let threads = std::thread::available_parallelism()?.get().to_string();
    println!(
        "{} tokens a prompt, {} an answer, {threads} threads: the best of {} rounds",
        options.prompt, options.tokens, options.rounds
    );
    println!(
        "{:9} {:>5} {:14} {:>12} {:>12} {:>14} {:>9}",
        "precision", "batch", "", "prefill t/s", "decode t/s", "first token s", "peak GiB"
    );
    let mut rows = Vec::new();
    for (precision, flags) in PRECISIONS {
        if options.precision.is_some_and(|only| only != precision) {
            continue;
        }
        let mut command = Command::new(&swift_host);
        command.args(["deploy", "--port", "0", "--enable-prefix-caching", "false"]);
        command.args([
            "--max-num-seqs",
            "32",
            "--max-model-len",
            &(options.prompt + options.tokens).to_string(),
        ]);
        command.args(["--threads", &threads, "--served-model-name", "m", "--model"]).arg(&model).args(flags);
        let mut sides = vec![Side::Ours(Server::start(&mut command)?, Random(1))];
        if let Some(peer) = options.peer {
            let mut command = Command::new(peer_python());
            command.args(["-c", PEER]).arg(&model).args([precision, peer, &threads]);
            match Peer::start(&mut command)
                .with_context(|| format!("`{PEER_PYTHON}` names the peer's Python"))?
            {
                Ok(started) => sides.push(Side::Theirs(started, peer)),
                Err(missing) => println!("{precision:9}       {peer} has no `{missing}`"),
            }
        }
        for batch in BATCHES.into_iter().filter(|&batch| options.batch.is_none_or(|only| only == batch)) {
            let figures =
                sides.iter_mut().map(|side| measure(side, batch, options)).collect::<Result<Vec<_>>>()?;
            for (side, figures) in sides.iter().zip(&figures) {
                let Figures { prefill, decode, first_token } = figures;
                let (name, peak) = (side.name(), side.peak_gib());
                println!(
                    "{precision:9} {batch:>5} {name:14} {prefill:>12.1} {decode:>12.1} {first_token:>14.3} {peak:>9.2}"
                );
                rows.push(json!({
                    "precision": precision, "batch": batch, "program": name, "prefill_tokens_per_second": prefill,
                    "decode_tokens_per_second": decode, "first_token_seconds": first_token, "peak_gib": peak,
                }));
            }
            if let [ours, theirs] = figures.as_slice() {
                println!(
                    "{precision:9} {batch:>5} {:14} {:>12.2} {:>12.2} {:>14.2}",
                    "ratio",
                    ours.prefill / theirs.prefill,
                    ours.decode / theirs.decode,
                    ours.first_token / theirs.first_token
                );
            }
        }
    }
    let document = json!({
        "prompt": options.prompt, "tokens": options.tokens, "threads": threads, "peer": options.peer, "rows": rows,
    });
    let path = folder()?.join("infer.json");
    fs::write(&path, serde_json::to_string_pretty(&document)?)?;
    println!("written to `{}`", path.display());
    Ok(())
}

fn measure(side: &mut Side<'_>, batch: u64, options: &Options<'_>) -> Result<Figures> {
    let Options { prompt, tokens, rounds, .. } = *options;
    // A short one warms up.
    side.seconds(batch, prompt.min(8), 2)?;
    let mut best = |tokens| -> Result<f64> {
        let times = (0..rounds).map(|_| side.seconds(batch, prompt, tokens)).collect::<Result<Vec<_>>>()?;
        Ok(times.into_iter().fold(f64::INFINITY, f64::min))
    };
    let (first_token, all) = (best(1)?, best(tokens)?);
    let rest = all - first_token;
    Ok(Figures {
        prefill: (batch * prompt) as f64 / first_token,
        // Where the noise is greater than what is measured, there is no number.
        decode: if rest > 0.0 { (batch * (tokens - 1)) as f64 / rest } else { f64::NAN },
        first_token,
    })
}

/// A program that answers.
enum Side<'a> {
    Ours(Server, Random),
    Theirs(Peer, &'a str),
}

impl Side<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Ours(..) => "swift-host",
            Self::Theirs(_, name) => name,
        }
    }

    fn peak_gib(&self) -> f64 {
        let child = match self {
            Self::Ours(server, _) => &server.child,
            Self::Theirs(peer, _) => &peer.child,
        };
        train::peak(child) as f64 / f64::from(1 << 20)
    }

    /// How long it takes to read a batch of prompts and to continue each by so many tokens.
    fn seconds(&mut self, batch: u64, prompt: u64, tokens: u64) -> Result<f64> {
        match self {
            Self::Theirs(peer, _) => peer.ask(&format!("{batch} {prompt} {tokens}")),
            Self::Ours(server, random) => {
                let mut prompt = || (0..prompt).map(|_| random.below(256)).collect::<Vec<u64>>();
                let prompts: Vec<_> = (0..batch).map(|_| prompt()).collect();
                let body = json!({"model": "m", "prompt": prompts, "max_tokens": tokens, "temperature": 0,
                                  "ignore_eos": true});
                let started = Instant::now();
                let answer = String::from_utf8(server.ask("/v1/completions", Some(&body))?.read_to_end()?)?;
                let seconds = started.elapsed().as_secs_f64();
                let body = answer.split_once("\r\n\r\n").context("an answer without a body")?.1;
                let answer: Value = serde_json::from_str(body).with_context(|| format!("`{answer}`"))?;
                let count = answer.pointer("/usage/completion_tokens").and_then(Value::as_u64);
                if count != Some(batch * tokens) {
                    bail!("the server answered `{answer}`");
                }
                Ok(seconds)
            }
        }
    }
}

/// The peer's program.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it, or says what it lacks.
    fn start(command: &mut Command) -> Result<Result<Self, String>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("it has no input")?;
        let output = BufReader::new(child.stdout.take().context("it has no output")?);
        let mut peer = Self { child, input, output };
        let line = peer.line()?;
        match line.split_once(' ') {
            None if line == "ready" => Ok(Ok(peer)),
            Some(("missing", what)) => Ok(Err(what.to_owned())),
            _ => bail!("the peer said `{line}`"),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("the peer has ended");
        }
        Ok(line.trim().to_owned())
    }

    fn ask(&mut self, line: &str) -> Result<f64> {
        writeln!(self.input, "{line}")?;
        Ok(self.line()?.parse()?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
