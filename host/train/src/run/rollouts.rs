//! Steps on answers that the model gives itself.

use serde_json::{Value, json};
use swift_data::{PackedBatch, Prompt, Window};
use swift_runtime::Completion;

use super::Run;
use crate::advantage::{Rewarded, ValueOptions, value_estimates};
use crate::learner::OldOutputs;
use crate::random::seed;
use crate::rollouts::{Answer, Generation, Judgement, Rollout, Rollouts, answers, observe};
use crate::{Error, Result};

/// Tells the seeds of sampling from those of dropout.
const SAMPLING: u64 = 0x5341_4d50;

impl Run<'_> {
    /// Optimiser steps on the rows of a window of the plan.
    pub(super) fn steps_per_window(&self) -> usize {
        self.rollouts.as_ref().map_or(1, |rollouts| rollouts.options.steps())
    }

    /// The micro-batches of a step of the generation for the window `index` of an epoch; the first step generates it.
    pub(super) fn rollout_window(
        &mut self,
        windows: &[Window],
        index: usize,
        step: usize,
    ) -> Result<Vec<PackedBatch>> {
        let Some(mut rollouts) = self.rollouts.take() else { return Err(Error::RolloutsMissing) };
        let generated =
            if step == 0 { self.generate(windows, index, &mut rollouts).map(Some) } else { Ok(None) };
        let last = step + 1 == rollouts.options.steps();
        let options = rollouts.options.clone();
        self.rollouts = Some(rollouts);
        if let Some(generation) = generated? {
            self.progress.generation = Some(generation);
        }
        let generation = self.progress.generation.as_ref().ok_or(Error::RolloutsMissing)?;
        let window = generation.window(&options, step);
        if last {
            self.progress.generation = None;
        }
        Ok(window)
    }

    /// Lets the model answer, the rewards judge, and estimates how good each answer is.
    fn generate(&mut self, windows: &[Window], index: usize, rollouts: &mut Rollouts) -> Result<Generation> {
        let options = &rollouts.options;
        let number = self.progress.step / options.steps().max(1) as u64;
        let (prompts, texts) = self.prompts(windows, index, options.prompts()?)?;
        let sampling_seed = seed(&[SAMPLING, self.options.seed, number]);
        let answers = answers(self.learner.model(), &prompts, options, sampling_seed)?;
        let group = options.num_generations;
        let completions = completions(&texts, &answers, group, rollouts)?;
        let judgement = Judgement::of(&completions, &mut rollouts.rewards, number)?;
        let options = &rollouts.options;
        let of_prompts = prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt, group));
        let rollout = |(prompt, answer): (&Vec<u32>, &Answer)| Rollout {
            tokens: [prompt.as_slice(), &answer.tokens].concat(),
            prompt: prompt.len(),
            columns: Vec::new(),
        };
        let mut generation = Generation { rollouts: of_prompts.zip(&answers).map(rollout).collect(), group };

        let has_values = self.learner.has_values();
        let with_reference = options.kl_coefficient != 0.0;
        let old = match options.steps() > 1 || with_reference || has_values {
            true => self.old_outputs(&generation, options.batch_size, with_reference)?,
            false => Vec::new(),
        };
        let penalties = with_reference.then(|| penalties(&generation, &old, options.kl_coefficient));
        let sums: Option<Vec<f64>> =
            penalties.as_ref().map(|penalties| penalties.iter().map(|tokens| tokens.iter().sum()).collect());
        let rewarded = Rewarded {
            rewards: &judgement.rewards,
            weights: &options.reward_weights,
            penalties: sums.as_deref(),
            group,
        };
        observe(&mut self.progress.since_log.metrics, &answers, &judgement, &rewarded)?;
        let advantages = match has_values {
            false => rewarded.advantages(options.estimator, options.scale),
            true => Vec::new(),
        };
        if has_values {
            let totals = Rewarded { penalties: None, ..rewarded }.totals();
            let values = ValueOptions {
                gamma: options.gamma,
                lambda: options.lambda,
                whiten_rewards: options.whiten_rewards,
            };
            add_values(&mut generation, &old, &totals, penalties.as_deref(), values);
        }
        let old_logps = (options.steps() > 1).then_some(old.as_slice());
        add_columns(&mut generation, &answers, &advantages, old_logps);
        if options.log_completions {
            let totals = rewarded.totals();
            self.log_completions(&texts, &completions, &judgement, &totals, &advantages)?;
        }
        Ok(generation)
    }

    /// The tokens and the texts of the prompts of a generation, which begin with the window `index`.
    fn prompts(
        &self,
        windows: &[Window],
        index: usize,
        count: usize,
    ) -> Result<(Vec<Vec<u32>>, Vec<Prompt>)> {
        // The last window of an epoch may be short: it is filled up with the first rows of the epoch.
        let rows = windows.iter().cycle().skip(index);
        let rows = rows.flat_map(|window| window.micro_batches.iter().flatten()).take(count);
        rows.map(|row| {
            let example = self.dataset.example(*row)?;
            let tokens = example.sequences.into_iter().next().map(|prompt| prompt.input_ids);
            Ok((tokens.unwrap_or_default(), example.prompt.unwrap_or_default()))
        })
        .collect()
    }

    /// What the model makes of all answers before the first step on them.
    fn old_outputs(
        &mut self,
        generation: &Generation,
        batch_size: usize,
        with_reference: bool,
    ) -> Result<Vec<OldOutputs>> {
        let mut old = Vec::new();
        for batch in generation.batches(0..generation.rollouts.len(), batch_size) {
            old.extend(self.learner.old_outputs(&batch, with_reference)?);
        }
        Ok(old)
    }

    /// Adds a line for each answer to `completions.jsonl`.
    fn log_completions(
        &mut self,
        prompts: &[Prompt],
        completions: &[Completion],
        judgement: &Judgement,
        totals: &[f64],
        advantages: &[f64],
    ) -> Result<()> {
        let group = completions.len() / prompts.len().max(1);
        let prompts = prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt, group));
        let mut lines = String::new();
        for (index, (completion, prompt)) in completions.iter().zip(prompts).enumerate() {
            let given = judgement.rewards.get(index).into_iter().flatten();
            let rewards: serde_json::Map<String, Value> =
                judgement.names.iter().cloned().zip(given.map(|reward| json!(reward))).collect();
            let line = json!({
                "step": self.progress.step + 1,
                "prompt": prompt.messages,
                "completion": completion.text,
                "finished": completion.finished,
                "rewards": rewards,
                "reward": totals.get(index),
                "advantage": advantages.get(index),
            });
            lines.push_str(&format!("{line}\n"));
        }
        self.directory.add_completions(lines.as_bytes())
    }
}

/// The answers as rewards see them.
fn completions(
    prompts: &[Prompt],
    answers: &[Answer],
    group: usize,
    rollouts: &Rollouts,
) -> Result<Vec<Completion>> {
    let prompts = prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt, group));
    let completion = |(prompt, answer): (&Prompt, &Answer)| {
        let columns = prompt.columns.iter().map(|(name, value)| (name.clone(), value.to_string()));
        Ok(Completion {
            messages_json: json!(prompt.messages).to_string(),
            text: rollouts.tokenizer.text(&answer.tokens, true)?,
            token_ids: answer.tokens.clone(),
            finished: answer.finished,
            columns: columns.collect(),
        })
    };
    prompts.zip(answers).map(completion).collect()
}

/// What is taken from the reward of each token of each answer: `coefficient (p - p_reference)`.
fn penalties(generation: &Generation, old: &[OldOutputs], coefficient: f64) -> Vec<Vec<f64>> {
    let of_answer = |(rollout, old): (&Rollout, &OldOutputs)| -> Vec<f64> {
        let pairs = old.logps.iter().zip(old.reference_logps.iter().flatten());
        let leads = pairs.map(|(logp, reference)| coefficient * (logp - reference));
        leads.skip(rollout.predictions().start).take(rollout.answer()).collect()
    };
    generation.rollouts.iter().zip(old).map(of_answer).collect()
}

/// Adds what losses see of each token besides: its advantage if there is one for the answer, whether the answer was cut off, and
/// the log-probabilities before the first step, if `old` is given.
fn add_columns(
    generation: &mut Generation,
    answers: &[Answer],
    advantages: &[f64],
    old: Option<&[OldOutputs]>,
) {
    for (index, (rollout, answer)) in generation.rollouts.iter_mut().zip(answers).enumerate() {
        let count = rollout.answer();
        if let Some(advantage) = advantages.get(index) {
            let column = rollout.column(vec![*advantage; count]);
            rollout.columns.push(("advantages".into(), column));
        }
        let truncated = rollout.column(vec![f64::from(u8::from(!answer.finished)); count]);
        rollout.columns.push(("truncated".into(), truncated));
        if let Some(old) = old.and_then(|old| old.get(index)) {
            let column = old.logps.iter().map(|logp| *logp as f32).collect();
            rollout.columns.push(("old_logps".into(), column));
        }
    }
}

/// Adds what a value function makes of the rewards: they are given at the state behind the last token, as in TRL, and what is
/// taken from them at each token.
fn add_values(
    generation: &mut Generation,
    old: &[OldOutputs],
    totals: &[f64],
    penalties: Option<&[Vec<f64>]>,
    options: ValueOptions,
) {
    let counts: Vec<usize> = generation.rollouts.iter().map(Rollout::answer).collect();
    let mut rewards = Vec::new();
    let mut values = Vec::new();
    for (index, (rollout, old)) in generation.rollouts.iter().zip(old).enumerate() {
        let mut of_tokens = vec![0.0; rollout.answer()];
        if let Some(penalties) = penalties.and_then(|penalties| penalties.get(index)) {
            of_tokens.iter_mut().zip(penalties).for_each(|(reward, penalty)| *reward -= penalty);
        }
        of_tokens.push(totals.get(index).copied().unwrap_or(0.0));
        let of_states = old.values.iter().flatten().skip(rollout.predictions().start);
        values.push(of_states.take(of_tokens.len()).copied().collect::<Vec<f64>>());
        rewards.push(of_tokens);
    }
    let estimates = value_estimates(&rewards, &values, &counts, options);
    for ((rollout, estimates), values) in generation.rollouts.iter_mut().zip(estimates).zip(values) {
        let states = values.len();
        let columns = [
            ("advantages", estimates.advantages),
            ("returns", estimates.returns),
            ("old_values", values),
            ("value_mask", vec![1.0; states]),
        ];
        for (name, values) in columns {
            let column = rollout.column(values);
            rollout.columns.push((name.into(), column));
        }
    }
}
