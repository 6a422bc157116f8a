//! `cargo xtask bench attention [--peer torch]`: attention there and back at lengths from 64 to 4096.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};

use super::{PEER_PYTHON, peer_python};
use crate::{build, workspace};

/// Tokens of all sequences of a measurement, as the two programs have it.
const TOKENS: f64 = 4096.0;
const LENGTHS: [usize; 7] = [64, 128, 256, 512, 1024, 2048, 4096];
/// Measurements of which the best counts. The two programs take turns, so that both meet the same disturbances.
const ROUNDS: usize = 5;

pub(super) fn run(with_peer: bool) -> Result<()> {
    build::cargo(&["build", "--locked", "--workspace", "--bin", "bench-attention"])?;
    println!(
        "{:9} {:>6} {:>13} {:>13} {:>13} {:>13} {:>7}",
        "", "length", "tokens/s", "peak MiB", "torch", "peak MiB", "ratio"
    );
    // Each element type has processes of its own, since the largest memory of a process never falls.
    for dtype in ["float32", "bfloat16"] {
        let mut ours = Command::new(workspace::target().join("debug/bench-attention"));
        // As the executable sets it.
        let mut ours = Program::start(ours.env("MIMALLOC_PURGE_DELAY", "10000"))?;
        let mut peer = match with_peer {
            true => {
                let script = workspace::root().join("tests/benchmarks/attention.py");
                Some(Program::start(Command::new(peer_python()).arg(script))?)
            }
            false => None,
        };
        for length in LENGTHS {
            let (mut best, mut best_peer) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..ROUNDS {
                best = best.min(ours.ask(length, dtype)?);
                if let Some(peer) = &mut peer {
                    best_peer = best_peer.min(peer.ask(length, dtype)?);
                }
            }
            print!("{dtype:9} {length:6} {:13.0} {:13.1}", TOKENS / best, ours.growth_mib());
            match &peer {
                Some(peer) => println!(
                    " {:13.0} {:13.1} {:7.2}",
                    TOKENS / best_peer,
                    peer.growth_mib(),
                    best_peer / best
                ),
                None => println!(),
            }
        }
    }
    Ok(())
}

/// A program that answers a length and an element type with seconds.
struct Program {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// The resident set after a first, small question, in KiB.
    base_kib: f64,
}

impl Program {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| {
                format!("can't start {command:?}; `{PEER_PYTHON}` names a Python with torch")
            })?;
        let questions = child.stdin.take().context("it has no input")?;
        let answers = BufReader::new(child.stdout.take().context("it has no output")?).lines();
        let mut program = Self { child, questions, answers, base_kib: 0.0 };
        // Thread pools and libraries come with the first question.
        program.ask(1, "float32")?;
        program.base_kib = program.status("VmRSS:");
        Ok(program)
    }

    fn ask(&mut self, length: usize, dtype: &str) -> Result<f64> {
        writeln!(self.questions, "{length} {dtype}")?;
        let answer = self.answers.next().context("it gave no answer")??;
        answer.trim().parse().with_context(|| format!("it answered `{answer}`"))
    }

    /// By how much the resident set has grown at most.
    fn growth_mib(&self) -> f64 {
        (self.status("VmHWM:") - self.base_kib) / 1024.0
    }

    fn status(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default()
    }
}

impl Drop for Program {
    /// A program whose input ends goes by itself; one that was left in the middle of an answer is ended.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
