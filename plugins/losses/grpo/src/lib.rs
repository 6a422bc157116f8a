//! Group relative policy optimisation (Shao et al. 2024, "DeepSeekMath", eq. 3) and the losses of rollouts that share its inputs.
//!
//! Of each labelled token `t` of answer `i` the loss knows `p` (its log-probability), `p_old` (that at the time of the
//! rollout) and `A` (the answer's advantage, which the trainer makes of the rewards). With `r = exp(p - p_old)`:
//!
//! | `loss_type` | loss of a token | mean over |
//! |---|---|---|
//! | `grpo` (Shao et al. 2024) | `-min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A)` | tokens of a sequence, then sequences |
//! | `bnpo` (TRL's name) | the same | tokens of a micro-batch, then micro-batches |
//! | `dr_grpo` (Liu et al. 2025, "Understanding R1-Zero-Like Training") | the same | `max_completion_length` for each sequence |
//! | `dapo` (Yu et al. 2025, "DAPO", eq. 8) | the same | tokens of the accumulation window |
//! | `fipo` ("FIPO", arXiv 2603.19835) | the same, weighed by what follows it: `influence` below | as `dapo` |
//! | `cispo` (MiniMax 2025, "MiniMax-M1", eq. 4) | `-sg(min(r, epsilon_high)) A p` | as `dapo` |
//! | `sapo` ("Soft Adaptive Policy Optimization", arXiv 2511.20347) | `-4 / tau sigmoid(tau (r - 1)) A` | as `grpo` |
//! | `real` ("REAL", arXiv 2602.05630) | none: answers are told apart, `told_apart` below | prompts |
//!
//! and `beta` times the divergence from the reference model is added, `e^x - x - 1` with `x = p_reference - p` (Shao et al.
//! 2024, eq. 4).
//!
//! What the trainer tells by [`Batch::token_field`], any finite number where no label counts:
//!
//! - `advantages`: the advantage of the token's answer.
//! - `old_logps`: `p_old`. Without it the rollouts are of the present policy, and `r` is 1.
//! - `ref_logps`: `p_reference`, if it is known from before; else it is computed by the reference model.
//! - `truncated`: 1 at each token of an answer that was cut off; only for `overlong_filter`.
//! - `rollout_logps`: what the engine that sampled gave, for `off_policy_sequence_mask_delta`; `old_logps` without it.

#[cfg(test)]
mod tests;

use swift_plugin::prelude::*;

parameters! {
    /// Group relative policy optimisation (Shao et al. 2024) and its variants.
    pub struct Grpo {
        /// Which formula: `grpo`, `bnpo`, `dr_grpo`, `dapo`, `fipo`, `cispo`, `sapo` or `real`.
        pub loss_type: String = "grpo".into(),
        /// Strength of the pull towards the reference model; 0 does without one.
        pub beta: f64 = 0.04,
        /// By how much the ratio may fall below 1.
        pub epsilon: f64 = 0.2,
        /// By how much it may rise above 1, as `epsilon` by default; for `cispo` the largest ratio itself.
        pub epsilon_high: Option<f64> = None,
        /// The largest ratio, also where clipping does not limit it (two-sided clipping, INTELLECT-2).
        pub delta: Option<f64> = None,
        /// Whose ratio: that of each `token`, the geometric mean of a `sequence` (GSPO), or `sequence_token`, whose value is
        /// that of the sequence and whose gradient is that of each token.
        pub importance_sampling_level: String = "token".into(),
        /// What `dr_grpo` divides each sequence by.
        pub max_completion_length: u64 = 512,
        /// Leaves out answers that were cut off (Yu et al. 2025).
        pub overlong_filter: bool = false,
        /// The share of tokens, those of highest entropy, that are trained on (Wang et al. 2025, "Beyond the 80/20 Rule").
        pub top_entropy_quantile: f64 = 1.0,
        /// Leaves out answers of negative advantage that have become less likely by more than this, the mean over their tokens
        /// (DeepSeek-V3.2).
        pub off_policy_sequence_mask_delta: Option<f64> = None,
        /// Sharpness of the gate of `sapo` for positive advantages.
        pub tau_pos: f64 = 1.0,
        /// The same for the others.
        pub tau_neg: f64 = 1.05,
        /// Temperature of `real`.
        pub real_tau: f64 = 0.5,
        /// After how many tokens `fipo` counts half.
        pub fipo_decay_rate: f64 = 32.0,
        /// By how much the weights of `fipo` may differ from 1.
        pub fipo_clip_range: Option<f64> = Some(0.2),
        /// Keeps them from falling below 1.
        pub fipo_clip_high_only: bool = true,
        /// The ratio above which tokens of negative advantage are not given more weight.
        pub fipo_safety_threshold: Option<f64> = Some(4.0),
    }
}

/// The loss of a token.
#[derive(Clone, Copy, PartialEq)]
enum Objective {
    /// The ratio, clipped.
    Clipped,
    /// The same, weighed by what follows the token.
    Influential,
    /// The log-likelihood, weighed by the capped ratio.
    CappedWeight,
    /// A soft gate in the place of clipping.
    SoftGate,
    /// None: whole answers are compared.
    ToldApart,
}

/// What the sum over the tokens is divided by.
#[derive(Clone, Copy)]
enum Mean {
    Sequences,
    MicroBatches,
    LongestCompletions,
    Window,
}

const LOSS_TYPES: &[(&str, (Objective, Mean))] = &[
    ("grpo", (Objective::Clipped, Mean::Sequences)),
    ("bnpo", (Objective::Clipped, Mean::MicroBatches)),
    ("dr_grpo", (Objective::Clipped, Mean::LongestCompletions)),
    ("dapo", (Objective::Clipped, Mean::Window)),
    ("fipo", (Objective::Influential, Mean::Window)),
    ("cispo", (Objective::CappedWeight, Mean::Window)),
    ("sapo", (Objective::SoftGate, Mean::Sequences)),
    // Of the tokens of `real` there is only the divergence from the reference.
    ("real", (Objective::ToldApart, Mean::MicroBatches)),
];

/// What is known of the tokens of a micro-batch, `[tokens]` each.
struct Tokens<'a> {
    batch: &'a Batch<'a>,
    /// 1 where a token is trained on, else 0.
    mask: Tensor,
    /// `p`.
    logps: Tensor,
    /// `p - p_old`, 0 where no label counts.
    log_ratio: Tensor,
    /// `r`, at the level that was asked for.
    ratio: Tensor,
    /// `A`.
    advantages: Tensor,
}

impl Tokens<'_> {
    /// The mean over the tokens of each sequence that are trained on, `[sequences]`; 0 if there is none.
    fn by_sequence(&self, per_token: &Tensor) -> Tensor {
        sequence_means(self.batch, &self.mask, per_token)
    }

    /// The mean over all tokens that are trained on, a scalar; 0 if there is none.
    fn mean(&self, per_token: &Tensor) -> Tensor {
        (per_token * &self.mask).sum_all() / self.mask.sum_all().maximum(1.0)
    }

    /// 1 where a condition holds, else 0.
    fn flags(&self, condition: &Tensor) -> Result<Tensor> {
        Ok(condition.cast(self.mask.dtype()?))
    }
}

fn sequence_means(batch: &Batch, mask: &Tensor, per_token: &Tensor) -> Tensor {
    batch.sum_by_sequence(&(per_token * mask)) / batch.sum_by_sequence(mask).maximum(1.0)
}

/// A value per sequence for each of its tokens: `[sequences]` to `[tokens]`.
fn spread(batch: &Batch, per_sequence: &Tensor) -> Tensor {
    per_sequence.index_select(0, &batch.segment_ids())
}

fn required(batch: &Batch, name: &str) -> Result<Tensor> {
    let Some(values) = batch.token_field(name) else { bail!("the rollouts have no `{name}`") };
    Ok(values)
}

impl Loss for Grpo {
    fn requirements(&self) -> Requirements {
        Requirements { input: Input::Rollouts, reference: self.beta != 0.0, ..Requirements::default() }
    }

    /// The micro-batch's share of the mean that `loss_type` takes. The metrics are means over the tokens of the micro-batch.
    fn compute(&self, batch: &Batch, policy: &Outputs, reference: Option<&Outputs>) -> Result<Report> {
        let &(objective, mean) = choose("loss type", &self.loss_type, LOSS_TYPES)?;
        let mut tokens = self.tokens(batch, policy)?;
        let (mut losses, mut influence) = (self.losses(objective, &tokens)?, None);
        if objective == Objective::Influential {
            let of_tokens = self.influence(&tokens)?;
            losses = losses * &of_tokens.weight;
            influence = Some(of_tokens);
        }
        let threshold = self.entropy_threshold(batch, policy)?;
        if let Some(threshold) = &threshold {
            losses = losses * tokens.flags(&policy.entropies()?.ge(threshold))?;
        }
        let divergence = self.divergence(&tokens, reference)?;
        if let Some(divergence) = &divergence {
            losses = losses + divergence * self.beta;
        }
        if let Some(delta) = self.off_policy_sequence_mask_delta {
            tokens.mask = &tokens.mask * self.on_policy(&tokens, delta)?;
        }

        let sum = (&losses * &tokens.mask).sum_all();
        let mut loss = match mean {
            Mean::Sequences => tokens.by_sequence(&losses).sum_all() / batch.global_sequence_count(),
            Mean::MicroBatches => tokens.mean(&losses) / batch.global_batch_count(),
            Mean::LongestCompletions => sum / batch.global_sequence_count() / self.max_completion_length,
            Mean::Window => sum / batch.global_token_count(),
        };
        if objective == Objective::ToldApart {
            loss = loss + self.told_apart(&tokens)?;
        }

        let mut report = self.clip_metrics(objective, &tokens, Report::new(loss))?;
        if let Some(divergence) = divergence {
            report = report.metric("kl", tokens.mean(&divergence.detach()));
        }
        if let Some(threshold) = threshold {
            report = report.metric("entropy/threshold", threshold);
        }
        if let Some(Influence { future_kl, weight, safe }) = influence {
            report = report
                .metric("fipo/future_kl_mean", tokens.mean(&future_kl))
                .metric("fipo/influence_weight_mean", tokens.mean(&weight))
                .metric("fipo/safety_keep_ratio", tokens.mean(&safe));
        }
        Ok(report)
    }
}

/// What the weights of `fipo` are made of, `[tokens]` each.
struct Influence {
    future_kl: Tensor,
    weight: Tensor,
    /// 1 where the ratio does not forbid more weight.
    safe: Tensor,
}

impl Grpo {
    fn epsilon_high(&self) -> f64 {
        self.epsilon_high.unwrap_or(self.epsilon)
    }

    fn tokens<'a>(&self, batch: &'a Batch<'a>, policy: &Outputs) -> Result<Tokens<'a>> {
        let labelled = batch.label_mask();
        let mask = match self.overlong_filter {
            true => &labelled * (1.0 - required(batch, "truncated")?),
            false => labelled.clone(),
        };
        let logps = policy.token_logps()?;
        let old_logps = batch.token_field("old_logps").unwrap_or_else(|| logps.detach());
        let log_ratio = (&logps - old_logps) * labelled;
        // The geometric mean of a sequence's ratios (Zheng et al. 2025, "Group Sequence Policy Optimization", eq. 7).
        let of_sequence = || spread(batch, &sequence_means(batch, &mask, &log_ratio));
        let ratio = match self.importance_sampling_level.as_str() {
            "token" => log_ratio.exp(),
            "sequence" => of_sequence().exp(),
            // Eq. 14 of the same paper.
            "sequence_token" => (&logps - logps.detach() + of_sequence().detach()).exp(),
            other => bail!(
                "there is no importance sampling level `{other}`; there are `token`, `sequence`, `sequence_token`"
            ),
        };
        let ratio = ratio.check()?;
        Ok(Tokens { batch, mask, logps, log_ratio, ratio, advantages: required(batch, "advantages")? })
    }

    /// The loss of each token, `[tokens]`.
    fn losses(&self, objective: Objective, tokens: &Tokens) -> Result<Tensor> {
        let Tokens { logps, ratio, advantages, .. } = tokens;
        Ok(match objective {
            Objective::Clipped | Objective::Influential => {
                let clipped = ratio.clamp(1.0 - self.epsilon, 1.0 + self.epsilon_high());
                -(self.capped(ratio) * advantages).minimum(clipped * advantages)
            }
            Objective::CappedWeight => {
                -(ratio.clamp(f64::NEG_INFINITY, self.epsilon_high()).detach() * advantages * logps)
            }
            Objective::SoftGate => {
                let gate = |tau: f64| ((ratio - 1.0) * tau).sigmoid() * (4.0 / tau);
                -(advantages.gt(0.0).choose(&gate(self.tau_pos), &gate(self.tau_neg)) * advantages)
            }
            Objective::ToldApart => logps * 0.0,
        })
    }

    /// The ratio, at most `delta`.
    fn capped(&self, ratio: &Tensor) -> Tensor {
        self.delta.map_or_else(|| ratio.clone(), |delta| ratio.clamp(f64::NEG_INFINITY, delta))
    }

    /// The divergence from the reference model at each token, `[tokens]`, within the limits that ms-swift sets to it; none
    /// without `beta`.
    fn divergence(&self, tokens: &Tokens, reference: Option<&Outputs>) -> Result<Option<Tensor>> {
        if self.beta == 0.0 {
            return Ok(None);
        }
        let reference_logps = match (tokens.batch.token_field("ref_logps"), reference) {
            (Some(known), _) => known,
            (None, Some(reference)) => reference.token_logps()?,
            (None, None) => bail!("the outputs of the reference model are missing"),
        };
        let lead = (reference_logps - &tokens.logps).clamp(-20.0, 20.0);
        Ok(Some((lead.exp() - &lead - 1.0).clamp(-10.0, 10.0)))
    }

    /// The entropy from which on a token is trained on, `[1]`: a quantile of those of all labels of the micro-batch, between
    /// two of them in proportion; none if all tokens are trained on.
    fn entropy_threshold(&self, batch: &Batch, policy: &Outputs) -> Result<Option<Tensor>> {
        if self.top_entropy_quantile >= 1.0 {
            return Ok(None);
        }
        let mask = batch.label_mask();
        let [count] = mask.sum_all().to_list()?[..] else { bail!("a sum is one number") };
        if count == 0.0 {
            return Ok(None);
        }
        let entropies = policy.entropies()?;
        let last = Tensor::full(f64::INFINITY, &entropies.shape()?, entropies.dtype()?);
        let sorted = mask.gt(0.0).choose(&entropies, &last).sort(false);
        let position = (1.0 - self.top_entropy_quantile) * (count - 1.0);
        let at = |position: f64| sorted.narrow(0, position as u64, 1);
        let (below, above) = (at(position.floor()), at(position.ceil()));
        Ok(Some(&below + (above - &below) * position.fract()))
    }

    /// 0 for the tokens of answers that are to be left out, else 1; `[tokens]`.
    fn on_policy(&self, tokens: &Tokens, delta: f64) -> Result<Tensor> {
        let fallen = match tokens.batch.token_field("rollout_logps") {
            Some(rollout_logps) => rollout_logps - tokens.logps.detach(),
            None => -tokens.log_ratio.detach(),
        };
        let fallen = tokens.flags(&tokens.by_sequence(&fallen).gt(delta))?;
        let negative = tokens.flags(&tokens.by_sequence(&tokens.advantages).lt(0.0))?;
        Ok(spread(tokens.batch, &(1.0 - fallen * negative)))
    }

    /// The weights of `fipo`: `exp(F)`, clipped, with `F_t = sum_k 2^(-k / fipo_decay_rate) (p - p_old)_(t + k)` over the rest
    /// of the sequence. Tokens with a ratio above `delta` do not count in the sum.
    fn influence(&self, tokens: &Tokens) -> Result<Influence> {
        let ratio = tokens.ratio.detach();
        let mut changes = tokens.log_ratio.detach() * &tokens.mask;
        if let Some(delta) = self.delta {
            changes = changes * tokens.flags(&ratio.le(delta))?;
        }
        let future_kl = self.discounted(tokens, changes)? * &tokens.mask;
        let mut weight = future_kl.exp();
        if let Some(range) = self.fipo_clip_range.filter(|range| *range != 0.0) {
            let low = if self.fipo_clip_high_only { 1.0 } else { 1.0 - range };
            weight = weight.clamp(low, 1.0 + range);
        }
        let mut safe = &ratio * 0.0 + 1.0;
        if let Some(threshold) = self.fipo_safety_threshold {
            safe = 1.0 - tokens.flags(&tokens.advantages.lt(0.0))? * tokens.flags(&ratio.gt(threshold))?;
            weight = safe.gt(0.0).choose(&weight, &weight.clamp(0.8, 1.0));
        }
        Ok(Influence { future_kl, weight, safe })
    }

    /// The sum of each token's value and those after it in the sequence, discounted; `[tokens]`.
    ///
    /// Sums over runs of twice the length are made of those over two runs, so that there is neither a matrix of all pairs of
    /// tokens nor a power of the discount so small that it is lost.
    fn discounted(&self, tokens: &Tokens, values: Tensor) -> Result<Tensor> {
        let segments = tokens.batch.segment_ids();
        let lengths = tokens.batch.sequence_lengths();
        let count: u64 = lengths.iter().copied().map(u64::from).sum();
        let longest = lengths.iter().copied().max().map_or(0, u64::from);
        let mut sums = values;
        let mut run = 1;
        while run < longest {
            let later = |of: &Tensor, fill: f64| -> Result<Tensor> {
                let end = Tensor::full(fill, &[run], of.dtype()?);
                Ok(Tensor::cat(&[&of.narrow(0, run, count - run), &end], 0))
            };
            let same_sequence = tokens.flags(&segments.eq(later(&segments, -1.0)?))?;
            let discount = (-(run as f64) / self.fipo_decay_rate).exp2();
            sums = &sums + later(&sums, 0.0)? * same_sequence * discount;
            run *= 2;
        }
        Ok(sums)
    }

    /// The loss of `real`, the micro-batch's share of the mean over prompts: `log(1 + sum e^s)` over a prompt's answers without
    /// a positive advantage and `log(1 + sum e^-s)` over the others, `s` being the mean of `p - p_old`, divided by `real_tau`.
    /// A prompt whose answers are all of one kind counts nothing; all answers of a prompt lie in one micro-batch.
    fn told_apart(&self, tokens: &Tokens) -> Result<Tensor> {
        let scores = tokens.by_sequence(&tokens.log_ratio) / self.real_tau;
        let advantages = tokens.by_sequence(&tokens.advantages).to_list()?;
        let mut answers = (0u32..).zip(advantages);
        let mut loss = scores.sum_all() * 0.0;
        for length in tokens.batch.group_lengths() {
            let group = answers.by_ref().take(length as usize);
            let (positive, others): (Vec<_>, Vec<_>) = group.partition(|(_, advantage)| *advantage > 0.0);
            if positive.is_empty() || others.is_empty() {
                continue;
            }
            let of = |answers: Vec<(u32, f64)>| {
                let indices: Vec<f64> = answers.into_iter().map(|(answer, _)| answer.into()).collect();
                scores.index_select(0, &Tensor::from_list(&indices, &[indices.len() as u64], Dtype::Int64))
            };
            let above_zero = |scores: Tensor| scores.logsumexp(0, false).softplus();
            loss = loss + above_zero(of(others)) + above_zero(-of(positive));
        }
        Ok(loss / tokens.batch.global_row_count())
    }

    /// Adds how many tokens are clipped, under ms-swift's names.
    fn clip_metrics(&self, objective: Objective, tokens: &Tokens, report: Report) -> Result<Report> {
        let ratio = tokens.ratio.detach();
        let share = |beyond: Tensor, advantages: Tensor| -> Result<Tensor> {
            Ok(tokens.mean(&(tokens.flags(&beyond)? * tokens.flags(&advantages)?)))
        };
        let advantages = &tokens.advantages;
        Ok(match objective {
            Objective::Clipped | Objective::Influential => {
                let ratio = self.capped(&ratio);
                let low = share(ratio.lt(1.0 - self.epsilon), advantages.lt(0.0))?;
                let high = share(ratio.gt(1.0 + self.epsilon_high()), advantages.gt(0.0))?;
                report
                    .metric("clip_ratio/low_mean", &low)
                    .metric("clip_ratio/high_mean", &high)
                    .metric("clip_ratio/region_mean", low + high)
            }
            Objective::CappedWeight => {
                report.metric("cispo_clip_ratio", share(ratio.gt(self.epsilon_high()), advantages.gt(0.0))?)
            }
            Objective::SoftGate | Objective::ToldApart => report,
        })
    }
}

export!(Grpo: Loss);
