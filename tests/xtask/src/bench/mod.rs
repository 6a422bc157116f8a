//! `cargo xtask bench`: figures with a ratio, measured in one run.

mod attention;
mod experts;
mod gemm;
mod infer;
mod load;
mod plugin;
mod startup;
mod train;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::synthetic::{Shape, write_model};
use crate::workspace;

/// The peer's Python, with ms-swift or torch installed.
const PEER_PYTHON: &str = "PEER_PYTHON";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["plugin"] => plugin::run().and_then(|()| plugin::languages()),
        ["languages"] => plugin::languages(),
        ["train", rest @ ..] => train::run(&train::Options::read(rest)?),
        ["startup"] => startup::run(),
        ["attention"] => attention::run(false),
        ["attention", "--peer", "torch"] => attention::run(true),
        ["experts"] => experts::run(),
        ["gemm", rest @ ..] => gemm::run(&gemm::Options::read(rest)?),
        ["infer", rest @ ..] => infer::run(&infer::Options::read(rest)?),
        ["load"] => load::run(120),
        ["load", "--seconds", seconds] => load::run(seconds.parse()?),
        _ => bail!(
            "usage: cargo xtask bench plugin | languages | startup | train [lengths] [--peer ms-swift] [--case TEXT] | \
             attention [--peer torch] | experts | gemm [--peer torch] [--threads N] [--dtype TYPE] | infer [--peer transformers|llama.cpp] [--prompt N] [--tokens N] \
             [--rounds N] [--precision bf16|4bit|f32] [--batch N] | load [--seconds N]"
        ),
    }
}

fn peer_python() -> String {
    std::env::var(PEER_PYTHON).unwrap_or_else(|_| "python3".into())
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::target().join("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The random model of the benchmarks, 2 GB; written once.
fn large_model() -> Result<PathBuf> {
    let model = folder()?.join("0.5B shape");
    if !model.join("tokenizer_config.json").is_file() {
        eprintln!("writing `{}`", model.display());
        write_model(&model, &Shape::QWEN2_5_0_5B, 1)?;
    }
    Ok(model)
}
