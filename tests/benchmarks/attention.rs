//! Attention of the heads of Qwen2.5-0.5B, there and back. Reads lines `LENGTH DTYPE` and answers each with the seconds
//! that it took for all sequences of that length in 4096 tokens. `cargo xtask bench attention` asks.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use swift_tensor::fused::{AttentionOptions, attention};
use swift_tensor::{DType, GradientSink, ParameterId, Tensor, Value, backward, normal};

// The allocator of the executable.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKENS: usize = 4096;
/// Sequences, at most.
const MOST: usize = 64;
const HEADS: u64 = 14;
const KV_HEADS: u64 = 2;
const HEAD_DIM: u64 = 64;

fn main() -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (length, dtype) = line.split_once(' ').context("a line is `LENGTH DTYPE`")?;
        let dtype = match dtype {
            "float32" => DType::F32,
            "bfloat16" => DType::BF16,
            other => bail!("no element type `{other}`"),
        };
        println!("{}", there_and_back(length.parse()?, dtype)?);
    }
    Ok(())
}

fn there_and_back(length: usize, dtype: DType) -> Result<f64> {
    let sequences = (TOKENS / length).min(MOST);
    let lengths: Arc<[usize]> = vec![length; sequences].into();
    let tokens = (sequences * length) as u64;
    let random = |seed, heads| normal(0.0, 1.0, &[tokens, heads, HEAD_DIM], dtype, seed);
    let parameter = |seed, heads| -> Result<Tensor> {
        Ok(Tensor::parameter(random(seed, heads)?.value().clone(), ParameterId(seed as u32)))
    };
    let (q, k, v) = (parameter(1, HEADS)?, parameter(2, KV_HEADS)?, parameter(3, KV_HEADS)?);
    let slope = random(4, HEADS)?;
    let options = AttentionOptions { scale: (HEAD_DIM as f64).powf(-0.5), window: None, soft_cap: None };
    let started = Instant::now();
    let out = attention(&q, &k, &v, &lengths, &options)?;
    backward(&out.mul(&slope)?.sum(&[], false)?, &mut Drop)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Gradients are computed and dropped.
struct Drop;

impl GradientSink for Drop {
    fn accumulate(&mut self, _: ParameterId, _: &Value) -> swift_tensor::Result<()> {
        Ok(())
    }
}
