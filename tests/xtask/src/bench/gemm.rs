//! `cargo xtask bench gemm [--peer torch] [--threads N] [--dtype TYPE]`: matrix products of the sizes that training takes, beside the peer's.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{PEER_PYTHON, folder, peer_python};
use crate::{build, workspace};

/// How often each program is asked for each product, in turn.
const ROUNDS: usize = 12;
/// The peer's side.
const PEER: &str = include_str!("gemm.py");

/// Layout, `m`, `k` and `n`: a square, and the products of a model in the shape of Qwen2.5-0.5B on 920 tokens (the head
/// on 256 at a time), those of its adapters of rank 8, and those of few tokens.
const PRODUCTS: [(&str, usize, usize, usize); 28] = [
    ("forward", 1024, 1024, 1024),
    ("dgrad", 1024, 1024, 1024),
    ("wgrad", 1024, 1024, 1024),
    ("forward", 512, 896, 4864),
    ("forward", 920, 896, 896),
    ("dgrad", 920, 896, 896),
    ("wgrad", 896, 920, 896),
    ("forward", 920, 896, 128),
    ("dgrad", 920, 128, 896),
    ("forward", 920, 896, 4864),
    ("dgrad", 920, 4864, 896),
    ("wgrad", 4864, 920, 896),
    ("forward", 920, 4864, 896),
    ("dgrad", 920, 896, 4864),
    ("forward", 256, 896, 151_936),
    ("forward", 920, 896, 8),
    ("forward", 920, 8, 4864),
    ("dgrad", 920, 4864, 8),
    ("dgrad", 920, 8, 896),
    ("wgrad", 8, 920, 896),
    ("wgrad", 4864, 920, 8),
    ("forward", 1, 896, 4864),
    ("forward", 2, 896, 4864),
    ("forward", 4, 896, 4864),
    ("forward", 8, 896, 4864),
    ("forward", 32, 896, 4864),
    ("forward", 1, 896, 151_936),
    ("forward", 8, 896, 151_936),
];

/// A program that computes products and says how long each took.
struct Program {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("it has no input")?;
        let output = BufReader::new(child.stdout.take().context("it has no output")?);
        Ok(Self { name, child, input, output })
    }

    /// Seconds of some calls of a product, or, for an empty line, of the one before.
    fn ask(&mut self, product: &str) -> Result<Vec<f64>> {
        writeln!(self.input, "{product}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let times: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        if times.is_empty() {
            bail!("{} has ended", self.name);
        }
        Ok(times)
    }

    fn end(self) -> Result<()> {
        let Self { mut child, input, .. } = self;
        drop(input);
        child.wait()?;
        Ok(())
    }
}

/// What is measured.
#[derive(Default)]
pub(super) struct Options<'a> {
    with_peer: bool,
    /// Of both programs; all cores if it is not said.
    threads: Option<usize>,
    /// The only type of elements, if one is named: where the peer has no fast products of one, it takes hours.
    dtype: Option<&'a str>,
}

impl<'a> Options<'a> {
    /// Reads flags with values.
    pub(super) fn read(words: &[&'a str]) -> Result<Self> {
        let mut options = Self::default();
        for pair in words.chunks(2) {
            match *pair {
                ["--peer", "torch"] => options.with_peer = true,
                ["--threads", threads] => options.threads = Some(threads.parse()?),
                ["--dtype", dtype] => options.dtype = Some(dtype),
                _ => bail!("`{}` is not known here", pair.join(" ")),
            }
        }
        Ok(options)
    }
}

/// Prints a table and writes it to `gemm.json` in the folder of the benchmarks.
pub(super) fn run(options: &Options<'_>) -> Result<()> {
    build::cargo(&["build", "--locked", "--package", "swift-kernels", "--example", "gemm"])?;
    let all = std::thread::available_parallelism()?.get();
    let threads = options.threads.unwrap_or(all).to_string();
    let executable = workspace::target().join("debug/examples/gemm");
    let mut programs =
        vec![Program::start("swift-host", Command::new(&executable).env("RAYON_NUM_THREADS", &threads))?];
    if options.with_peer {
        let mut command = Command::new(peer_python());
        let peer = Program::start("torch", command.args(["-c", PEER, &threads]));
        programs.push(peer.with_context(|| format!("`{PEER_PYTHON}` names a Python that has torch"))?);
    }
    println!("GFLOP/s on {threads} threads: the best call, and the median");
    let mut rows = Vec::new();
    for dtype in ["bfloat16", "float32"] {
        if options.dtype.is_some_and(|only| only != dtype) {
            continue;
        }
        for (layout, m, k, n) in PRODUCTS {
            let product = format!("{dtype} {layout} {m} {k} {n}");
            let figures = measure(&mut programs, &product, 2.0 * (m * k * n) as f64 / 1e9)?;
            let shown = figures.iter().map(|[best, median]| format!("{best:8.1} {median:8.1}"));
            let ratio = match figures.as_slice() {
                [ours, theirs] => ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect(),
                _ => Vec::new(),
            };
            let shown_ratio: Vec<String> = ratio.iter().map(|ratio| format!("{ratio:6.2}")).collect();
            println!("{product:36} {}   {}", shown.collect::<Vec<_>>().join("   "), shown_ratio.join(" "));
            rows.push(json!({
                "dtype": dtype, "layout": layout, "m": m, "k": k, "n": n,
                "best_gflops": figures.iter().map(|[best, _]| best).collect::<Vec<_>>(),
                "median_gflops": figures.iter().map(|[_, median]| median).collect::<Vec<_>>(),
            }));
        }
    }
    let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
    let document: Value = json!({ "threads": threads, "programs": names, "products": rows });
    let path = folder()?.join("gemm.json");
    std::fs::write(&path, serde_json::to_string_pretty(&document)?)?;
    println!("written to `{}`", path.display());
    programs.into_iter().try_for_each(Program::end)
}

/// For each program the most and the median of the GFLOP/s of its calls. The programs take turns, so that all meet the
/// same disturbances.
fn measure(programs: &mut [Program], product: &str, gflop: f64) -> Result<Vec<[f64; 2]>> {
    let mut times = vec![Vec::new(); programs.len()];
    for round in 0..=ROUNDS {
        for (program, times) in programs.iter_mut().zip(&mut times) {
            let calls = program.ask(if round == 0 { product } else { "" })?;
            // The first round warms up.
            if round > 0 {
                times.extend(calls);
            }
        }
    }
    let figures = times.into_iter().map(|mut times| {
        times.sort_by(f64::total_cmp);
        let of = |index: usize| times.get(index).map_or(0.0, |time| gflop / time);
        [of(0), of(times.len() / 2)]
    });
    Ok(figures.collect())
}
