use swift_data::Tokenizer;
use swift_infer::SamplingOptions;

use crate::{Error, Estimator, Result, Reward, Scale};

/// What a run needs besides to generate and to judge.
pub struct Rollouts {
    /// How it is done.
    pub options: RolloutOptions,
    /// Who judges, in this order.
    pub rewards: Vec<Box<dyn Reward>>,
    /// Makes texts of answers.
    pub tokenizer: Tokenizer,
}

/// How answers are generated, judged and used.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutOptions {
    /// Answers to each prompt.
    pub num_generations: usize,
    /// The most tokens of an answer.
    pub max_completion_length: usize,
    /// How tokens are chosen; the seed is the run's. Log-probabilities are of logits divided by the temperature as well.
    pub sampling: SamplingOptions,
    /// Tokens with which the model says that it is done.
    pub ends: Vec<u32>,
    /// The most tokens of prompt and answer that the model can see.
    pub context_length: usize,
    /// Passes over the answers of a generation.
    pub num_iterations: usize,
    /// Micro-batches of a generation.
    pub steps_per_generation: usize,
    /// Micro-batches of an optimiser step.
    pub gradient_accumulation_steps: usize,
    /// Answers in a micro-batch.
    pub batch_size: usize,
    /// How advantages are estimated, where there is no value function.
    pub estimator: Estimator,
    /// What they are divided by, where there is no value function.
    pub scale: Scale,
    /// The weight of each reward.
    pub reward_weights: Vec<f64>,
    /// How much of the divergence from the reference is taken from rewards.
    pub kl_coefficient: f64,
    /// With a value function: what a reward of the next token counts now.
    pub gamma: f64,
    /// With a value function: how much later values are trusted.
    pub lambda: f64,
    /// With a value function: whether the rewards of tokens are brought to deviation 1.
    pub whiten_rewards: bool,
    /// Whether answers are written to `completions.jsonl`.
    pub log_completions: bool,
}

impl RolloutOptions {
    /// Prompts of a generation.
    ///
    /// # Errors
    /// If numbers don't divide each other as they must, or are out of their range.
    pub fn prompts(&self) -> Result<usize> {
        let setting = |flag, message: String| Err(Error::setting(flag, message));
        if self.num_generations < 2 {
            return setting("num-generations", "must be at least 2, so that answers can be compared".into());
        }
        let parts = self.steps_per_generation.checked_rem(self.gradient_accumulation_steps);
        if self.steps_per_generation == 0 || parts != Some(0) {
            return setting(
                "steps-per-generation",
                format!(
                    "is `{}`, but must be a multiple of `--gradient-accumulation-steps`, which is `{}`",
                    self.steps_per_generation, self.gradient_accumulation_steps
                ),
            );
        }
        if self.num_iterations == 0 || self.max_completion_length == 0 {
            let flag = if self.num_iterations == 0 { "num-iterations" } else { "max-completion-length" };
            return setting(flag, "must be above 0".into());
        }
        let temperature = self.sampling.temperature;
        if !temperature.is_finite() || temperature <= 0.0 {
            return setting("temperature", format!("is `{temperature}`, but must be above 0"));
        }
        let answers = self.batch_size * self.steps_per_generation;
        match answers % self.num_generations {
            0 => Ok(answers / self.num_generations),
            _ => setting(
                "num-generations",
                format!(
                    "is `{}`, but must divide the {answers} answers of a generation: `--per-device-train-batch-size` times `--steps-per-generation`",
                    self.num_generations
                ),
            ),
        }
    }

    /// Optimiser steps of a pass over the answers of a generation.
    fn windows(&self) -> usize {
        self.steps_per_generation / self.gradient_accumulation_steps.max(1)
    }

    /// Optimiser steps of a generation.
    pub(crate) fn steps(&self) -> usize {
        self.num_iterations * self.windows()
    }

    /// The answers of an optimiser step of a generation, the steps counted from 0.
    pub(crate) fn answers_of(&self, step: usize) -> std::ops::Range<usize> {
        let count = self.batch_size * self.gradient_accumulation_steps;
        let start = step % self.windows().max(1) * count;
        start..start + count
    }
}
