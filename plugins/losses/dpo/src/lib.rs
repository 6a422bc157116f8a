//! Direct preference optimisation (Rafailov et al. 2023) and the losses that share its inputs.

mod comparison;
mod running_mean;
mod variants;

#[cfg(test)]
mod tests;

use std::cell::Cell;

use swift_plugin::prelude::*;

use comparison::Comparison;
use running_mean::RunningMean;
use variants::{Formula, variant};

parameters! {
    /// Direct preference optimisation (Rafailov et al. 2023) and its variants.
    pub struct Dpo {
        /// Strength of the pull towards the reference model.
        pub beta: f64 = 0.1,
        /// Which formulas: `sigmoid`, `robust`, `hinge`, `ipo`, `exo_pair`, `bco_pair`, `sppo_hard`, `nca_pair`, `aot`,
        /// `aot_unpaired`, `apo_zero`, `apo_down`, `discopop`, `sft`; of several, the sum.
        pub loss_type: Vec<String> = vec!["sigmoid".into()],
        /// The weight of each formula; 1 by default.
        pub loss_weights: Option<Vec<f64>> = None,
        /// Probability that the two answers of a pair were swapped.
        pub label_smoothing: f64 = 0.0,
        /// Weight of the negative log-likelihood of the chosen answers, which is added (Pang et al. 2024).
        pub rpo_alpha: Option<f64> = None,
        /// Weight of those tokens of the longer answer that the shorter one has no counterpart for (Liu et al. 2024).
        pub ld_alpha: Option<f64> = None,
        /// Temperature of the mixture of `discopop`.
        pub discopop_tau: f64 = 0.05,
        /// Compares as if the reference model found all answers equally likely.
        pub reference_free: bool = false,
        /// How far from the reference model is measured: `reverse_kl`, `js_divergence` or `alpha_divergence`.
        pub f_divergence_type: String = "reverse_kl".into(),
        /// The coefficient of `alpha_divergence`.
        pub f_alpha_divergence_coef: f64 = 0.5,
    }
    remembers {
        /// The rewards that `bco_pair` has seen.
        rewards: Cell<RunningMean>,
    }
}

impl Loss for Dpo {
    fn requirements(&self) -> Requirements {
        Requirements {
            input: Input::PreferencePairs,
            trained_parts: TrainedParts::LastRound,
            reference: true,
            disable_dropout: true,
            ..Requirements::default()
        }
    }

    /// The weighted sum of the formulas, the mean over the pairs of the window. The negative log-likelihood of the chosen
    /// answers (`sft`, and `rpo_alpha` of it) is the mean over the labelled tokens of the micro-batch, and that over the
    /// micro-batches.
    fn compute(&self, batch: &Batch, policy: &Outputs, reference: Option<&Outputs>) -> Result<Report> {
        let Some(reference) = reference else { bail!("the outputs of the reference model are missing") };
        let formulas = self.formulas()?;
        let token_logps = policy.token_logps()?;
        let reference_logps = reference.token_logps()?;
        let sums = Comparison::of_sums(self, batch, &token_logps, &reference_logps)?;
        let needs_means = formulas.iter().any(|(formula, _)| matches!(formula, Formula::OfMeans(_)));
        let means = match needs_means {
            true => Some(Comparison::of_means(self, batch, &token_logps, &reference_logps)?),
            false => None,
        };

        let add = |sum: Option<Tensor>, part: Tensor| {
            Some(match sum {
                Some(sum) => sum + part,
                None => part,
            })
        };
        let (mut loss, mut chosen_rewards, mut rejected_rewards) = (None, None, None);
        let mut answers_weight = self.rpo_alpha;
        for &(formula, weight) in &formulas {
            let comparison = match (formula, &means) {
                (Formula::OfMeans(_), Some(means)) => means,
                _ => &sums,
            };
            match formula {
                Formula::OfSums(losses) | Formula::OfMeans(losses) => {
                    let losses = losses(self, batch, comparison)?;
                    loss = add(loss, losses.sum_all() * weight / batch.global_pair_count());
                }
                Formula::ChosenAnswers => answers_weight = Some(answers_weight.unwrap_or(0.0) + weight),
            }
            let (chosen, rejected) = comparison.rewards(self.beta);
            chosen_rewards = add(chosen_rewards, chosen * weight);
            rejected_rewards = add(rejected_rewards, rejected * weight);
        }
        let nll = -batch.split_means(&token_logps).0;
        if let Some(weight) = answers_weight {
            loss = add(loss, &nll * weight / batch.global_batch_count());
        }
        let (Some(loss), Some(chosen), Some(rejected)) = (loss, chosen_rewards, rejected_rewards) else {
            bail!("`loss_type` is empty");
        };

        let mut report = Report::new(loss)
            .reward_metrics(&(chosen, rejected))
            .pair_metrics("logps", &sums.policy)
            // One observation a micro-batch, as TRL has it: the mean over its labelled positions.
            .pair_metrics("logits", &batch.split_means(&policy.mean_logits()?));
        if let Some(means) = means {
            report = report.pair_metrics("logps_mean", &means.policy);
        }
        if answers_weight.is_some() {
            report = report.metric("nll_loss", nll);
        }
        Ok(report)
    }

    fn save_state(&self) -> String {
        self.rewards.get().to_state()
    }

    fn restore_state(&mut self, state: &str) -> Result<()> {
        self.rewards.set(RunningMean::from_state(state)?);
        Ok(())
    }
}

impl Dpo {
    /// The formulas that `loss_type` names, with their weights.
    fn formulas(&self) -> Result<Vec<(Formula, f64)>> {
        let weights = self.loss_weights.clone().unwrap_or_else(|| vec![1.0; self.loss_type.len()]);
        if weights.len() != self.loss_type.len() {
            bail!("`loss_weights` has {} weights for {} loss types", weights.len(), self.loss_type.len());
        }
        self.loss_type.iter().zip(weights).map(|(name, weight)| Ok((variant(name)?, weight))).collect()
    }

    /// The mean of all rewards with that of this micro-batch, which is kept in training.
    fn mean_reward_with(&self, batch: &Batch, rewards: &Tensor) -> Result<f64> {
        let [observation] = rewards.mean_all().to_list()?[..] else { bail!("a mean is one number") };
        let mean = self.rewards.get().and(observation);
        if batch.training() {
            self.rewards.set(mean);
        }
        Ok(mean.mean)
    }
}

export!(Dpo: Loss);
