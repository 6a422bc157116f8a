//! A layer of experts of the shape of Qwen3-30B-A3B, there and back, and a dense layer that is as wide as the experts of a token.
//! Reads lines `KIND TOKENS DTYPE TRAINED` and answers each with the seconds of the way there and of that back. `cargo xtask bench
//! experts` asks.

use std::io::BufRead;
use std::time::Instant;

use anyhow::{Result, bail};
use swift_tensor::fused::{GroupedLinear, Linear, grouped_linear, linear, swiglu};
use swift_tensor::{DType, GradientSink, ParameterId, Tensor, Value, arange, backward, normal};

// The allocator of the executable.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HIDDEN: u64 = 2048;
const INNER: u64 = 768;
/// Experts, and those of a token.
const EXPERTS: u64 = 64;
const CHOSEN: u64 = 8;

fn main() -> Result<()> {
    let mut layer: Option<(String, Layer)> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [kind, tokens, dtype, trained] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("a line is `KIND TOKENS DTYPE TRAINED`");
        };
        let dtype = match dtype {
            "float32" => DType::F32,
            "bfloat16" => DType::BF16,
            other => bail!("no element type `{other}`"),
        };
        // Weights stay for the next line, if it asks for the same.
        let key = format!("{kind} {dtype:?} {trained}");
        if layer.as_ref().is_none_or(|(last, _)| *last != key) {
            // First, so that there is memory for one of them only.
            drop(layer.take());
            let experts = if kind == "experts" { EXPERTS } else { 1 };
            layer = Some((key, Layer::new(experts, dtype, trained == "all")?));
        }
        let Some((_, layer)) = &layer else { continue };
        let [there, back] = layer.there_and_back(tokens.parse()?, dtype)?;
        println!("{there} {back}");
    }
    Ok(())
}

struct Layer {
    /// Of the experts, if there are any.
    router: Option<Tensor>,
    gate: Vec<Tensor>,
    up: Vec<Tensor>,
    down: Vec<Tensor>,
}

impl Layer {
    fn new(experts: u64, dtype: DType, trained: bool) -> Result<Self> {
        let inner = INNER * if experts == 1 { CHOSEN } else { 1 };
        let mut id = 0;
        let mut weight = |shape: [u64; 2]| -> Result<Tensor> {
            id += 1;
            let value = normal(0.0, 0.02, &shape, dtype, id)?.value().clone();
            Ok(if trained {
                Tensor::parameter(value, ParameterId(id as u32))
            } else {
                Tensor::constant(value)
            })
        };
        let router = if experts == 1 { None } else { Some(weight([experts, HIDDEN])?) };
        let mut of_each = |shape| (0..experts).map(|_| weight(shape)).collect::<Result<Vec<_>>>();
        Ok(Self {
            router,
            gate: of_each([inner, HIDDEN])?,
            up: of_each([inner, HIDDEN])?,
            down: of_each([HIDDEN, inner])?,
        })
    }

    fn there_and_back(&self, tokens: u64, dtype: DType) -> Result<[f64; 2]> {
        let random = |seed| normal(0.0, 1.0, &[tokens, HIDDEN], dtype, seed);
        let x = Tensor::parameter(random(1)?.value().clone(), ParameterId(0));
        let slope = random(2)?;
        let started = Instant::now();
        let y = match &self.router {
            Some(router) => self.experts(&x, router)?,
            None => self.dense(&x)?,
        };
        let there = started.elapsed().as_secs_f64();
        backward(&y.mul(&slope)?.sum(&[], false)?, &mut Drop)?;
        Ok([there, started.elapsed().as_secs_f64() - there])
    }

    fn dense(&self, x: &Tensor) -> Result<Tensor> {
        let through = |x: &Tensor, weight: &[Tensor]| -> Result<Tensor> {
            let [weight] = weight else { bail!("a dense layer has one matrix") };
            Ok(linear(x, &Linear { weight: weight.clone(), bias: None, adapter: None })?)
        };
        through(&swiglu(&through(x, &self.gate)?, &through(x, &self.up)?)?, &self.down)
    }

    /// As `mixture` in the SDK routes.
    fn experts(&self, x: &Tensor, router: &Tensor) -> Result<Tensor> {
        let tokens = x.dims().first().copied().unwrap_or_default() as u64;
        let scores = linear(x, &Linear { weight: router.clone(), bias: None, adapter: None })?;
        let scores = scores.cast(DType::F32)?.softmax(-1)?;
        let chosen = scores.detach().argsort(true)?.narrow(-1, 0, CHOSEN)?;
        let weights = scores.gather(-1, &chosen)?;
        let weights = weights.div(&weights.sum(&[-1], true)?)?;
        let experts = chosen.reshape(&[-1])?;
        let order = experts.argsort(false)?;
        let places = arange(tokens)?.reshape(&[-1, 1])?.broadcast_to(&[tokens, CHOSEN])?.reshape(&[-1])?;
        let (groups, places) = (experts.index_select(0, &order)?, places.index_select(0, &order)?);
        let through = |x: &Tensor, weights: &[Tensor]| {
            grouped_linear(x, &GroupedLinear { weights: weights.to_vec(), biases: vec![] }, &groups)
        };
        let rows = x.index_select(0, &places)?;
        let given = through(&swiglu(&through(&rows, &self.gate)?, &through(&rows, &self.up)?)?, &self.down)?;
        let weights = weights.cast(x.dtype())?.reshape(&[-1, 1])?.index_select(0, &order)?;
        Ok(given.mul(&weights)?.segment_sum(&places, tokens)?)
    }
}

/// Gradients are computed and dropped.
struct Drop;

impl GradientSink for Drop {
    fn accumulate(&mut self, _: ParameterId, _: &Value) -> swift_tensor::Result<()> {
        Ok(())
    }
}
