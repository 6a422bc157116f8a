//! `cargo xtask bench experts`: a layer of experts beside a dense layer that does as many products.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::json;

use super::folder;
use crate::{build, workspace};

const TOKENS: [usize; 2] = [512, 1024];
/// Measurements of which the best counts. The layers take turns, so that both meet the same disturbances.
const ROUNDS: usize = 5;

/// Prints a table and writes it to `experts.json` in the folder of the benchmarks.
pub(super) fn run() -> Result<()> {
    build::cargo(&["build", "--locked", "--workspace", "--bin", "bench-experts"])?;
    let executable = workspace::target().join("debug/bench-experts");
    println!(
        "64 experts of 768 in 2048, 8 for each token, beside one of 6144: seconds there and back, and the ratio"
    );
    let mut rows = Vec::new();
    for trained in ["input", "all"] {
        for dtype in ["float32", "bfloat16"] {
            let (mut experts, mut dense) = (Program::start(&executable)?, Program::start(&executable)?);
            for tokens in TOKENS {
                let (mut best, mut best_dense) = ([f64::INFINITY; 2], [f64::INFINITY; 2]);
                for _ in 0..ROUNDS {
                    let question = format!("{tokens} {dtype} {trained}");
                    best = least(best, experts.ask(&format!("experts {question}"))?);
                    best_dense = least(best_dense, dense.ask(&format!("dense {question}"))?);
                }
                let ratio = best.iter().sum::<f64>() / best_dense.iter().sum::<f64>();
                let ([there, back], [dense_there, dense_back]) = (best, best_dense);
                println!(
                    "{dtype:9} {tokens:5} tokens, {trained:5} trained  {there:7.3} {back:7.3}   {dense_there:7.3} {dense_back:7.3}   {ratio:5.2}"
                );
                rows.push(json!({
                    "dtype": dtype, "tokens": tokens, "trained": trained, "experts": best, "dense": best_dense, "ratio": ratio,
                }));
            }
        }
    }
    let path = folder()?.join("experts.json");
    std::fs::write(&path, serde_json::to_string_pretty(&json!({ "rows": rows }))?)?;
    println!("written to `{}`", path.display());
    Ok(())
}

fn least(left: [f64; 2], right: [f64; 2]) -> [f64; 2] {
    if left.iter().sum::<f64>() <= right.iter().sum() { left } else { right }
}

/// A program that answers a line with the seconds there and back.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(executable: &std::path::Path) -> Result<Self> {
        // As the executable sets it.
        let mut command = Command::new(executable);
        let command = command.env("MIMALLOC_PURGE_DELAY", "10000");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("it has no input")?;
        let output = BufReader::new(child.stdout.take().context("it has no output")?);
        Ok(Self { child, input, output })
    }

    fn ask(&mut self, question: &str) -> Result<[f64; 2]> {
        writeln!(self.input, "{question}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let (there, back) = line.trim().split_once(' ').with_context(|| format!("it answered `{line}`"))?;
        Ok([there.parse()?, back.parse()?])
    }
}

impl Drop for Program {
    /// A program whose input ends goes by itself; one that was left in the middle of an answer is ended.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
