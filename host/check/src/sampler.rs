//! Samplers.

use swift_runtime::{Adjusted, Generation, Result, SamplerPlugin};
use swift_tensor::{DType, Tensor, normal};

use crate::bench::Bench;

/// Token ids of the seeded model.
const VOCABULARY: usize = 200;
/// Tokens of an answer.
const STEPS: usize = 6;
/// How far apart logits are: hardly, as a model has them, and by very much.
const DEVIATIONS: [f64; 3] = [0.01, 3.0, 1000.0];

/// An answer, and what the sampler made of the logits at each token of it.
#[derive(Clone)]
struct Answer {
    generation: Generation,
    deviation: f64,
    seen: Vec<Vec<u32>>,
}

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (plugin, options) = (bench.plugin.clone(), bench.options);
    let start = || plugin.sampler(&options.arguments, &options.limits);
    let mut alone = Vec::new();
    for (number, deviation) in (1..).zip(DEVIATIONS) {
        let (mut sampler, mut answer) = (start()?, Answer::begin(number, deviation));
        for _ in 0..STEPS {
            answer.go_on(&mut sampler)?;
        }
        alone.push(answer);
    }
    bench.passed("The logits are numbers in the shape that they had, and a token at least is left each time");
    let left: usize = alone.iter().map(Answer::left).sum();
    bench.passed(format!("{left} of {} tokens are left", VOCABULARY * STEPS * DEVIATIONS.len()));

    let mut again = start()?;
    let mut turns: Vec<Answer> =
        (1..).zip(DEVIATIONS).map(|(n, deviation)| Answer::begin(n, deviation)).collect();
    for _ in 0..STEPS {
        for answer in &mut turns {
            answer.go_on(&mut again)?;
        }
    }
    let same = turns.iter().zip(&alone).all(|(turn, alone)| turn.seen == alone.seen);
    bench.expect(
        same,
        "Answers that take turns are those that are generated alone, to the same bits",
        "Answers that take turns differ from those that are generated alone",
        "what an answer needs at its next token must be remembered with `remember`, and nothing else may be kept",
    );

    let mut only = vec![f32::NEG_INFINITY; VOCABULARY];
    only.iter_mut().skip(7).take(1).for_each(|logit| *logit = -3.0);
    again.adjust(&only, Generation { prompt: vec![1], ..Generation::default() })?;
    bench.passed("A token that is the only possible one is left");

    let (logits, generation) = (seeded(1, 3.0)?, Generation { prompt: vec![1], ..Generation::default() });
    bench.measure(|| again.adjust(&logits, generation.clone()).map(drop))?;
    bench.handles(again.usage());
    Ok(())
}

/// Logits of which every seventh token is ruled out.
fn seeded(seed: u64, deviation: f64) -> Result<Vec<f32>> {
    let drawn: Tensor = normal(0.0, deviation, &[VOCABULARY as u64], DType::F32, seed)?;
    let logit = |(id, value): (usize, f64)| if id % 7 == 0 { f32::NEG_INFINITY } else { value as f32 };
    Ok(drawn.to_list()?.into_iter().enumerate().map(logit).collect())
}

impl Answer {
    fn begin(number: u32, deviation: f64) -> Self {
        let generation = Generation { prompt: vec![number, 2, 3], ..Generation::default() };
        Self { generation, deviation, seen: Vec::new() }
    }

    /// Takes the most probable token of what the sampler leaves.
    fn go_on(&mut self, sampler: &mut SamplerPlugin) -> Result<()> {
        let seed = self.deviation.to_bits() ^ self.seen.len() as u64;
        self.generation.seed = seed;
        let Adjusted { logits, memory } =
            sampler.adjust(&seeded(seed, self.deviation)?, self.generation.clone())?;
        let best = (0..).zip(&logits).max_by(|a: &(u32, &f32), b| a.1.total_cmp(b.1));
        self.generation.answer.extend(best.map(|(id, _)| id));
        self.generation.memory = memory;
        self.seen.push(logits.into_iter().map(f32::to_bits).collect());
        Ok(())
    }

    /// Tokens that are possible, of all steps.
    fn left(&self) -> usize {
        let nothing = f32::NEG_INFINITY.to_bits();
        self.seen.iter().flatten().filter(|bits| **bits != nothing).count()
    }
}
