//! Proximal policy optimisation (Schulman et al. 2017, "Proximal Policy Optimization Algorithms"), as TRL has it.
//!
//! Of each labelled token the loss knows `p` (its log-probability), `p_old` (that at the time of the rollout) and `A` (its
//! advantage, by generalised advantage estimation: Schulman et al. 2016, eq. 16); of each state `V` (its value, by the score
//! head), `V_old` and `R` (the return). With `r = exp(p - p_old)`:
//!
//! ```text
//! policy = mean over tokens of max(-r A, -clip(r, 1 - cliprange, 1 + cliprange) A)                            (eq. 7)
//! value  = 1/2 mean over states of max((V - R)^2, (clip(V, V_old - cliprange_value, V_old + cliprange_value) - R)^2)
//! loss   = policy + vf_coef value
//! ```
//!
//! The means are those of a micro-batch, and that over the micro-batches of the accumulation window.
//!
//! What the trainer tells by [`Batch::token_field`], any finite number where neither label nor state counts:
//!
//! - `advantages`: `A`.
//! - `old_logps`: `p_old`. Without it the rollouts are of the present policy, and `r` is 1.
//! - `old_values`: `V_old`.
//! - `returns`: `R`.
//! - `value_mask`: 1 at each position whose state counts, else 0; where labels count, without it. TRL also counts the state
//!   behind the last token of an answer.

#[cfg(test)]
mod tests;

use swift_plugin::prelude::*;

parameters! {
    /// Proximal policy optimisation (Schulman et al. 2017).
    pub struct Ppo {
        /// By how much the ratio of the probabilities may differ from 1.
        pub cliprange: f64 = 0.2,
        /// Weight of the value function's loss.
        pub vf_coef: f64 = 0.1,
        /// By how much a value may differ from the one at the time of the rollout.
        pub cliprange_value: f64 = 0.2,
    }
}

fn required(batch: &Batch, name: &str) -> Result<Tensor> {
    let Some(values) = batch.token_field(name) else { bail!("the rollouts have no `{name}`") };
    Ok(values)
}

/// The mean of a value per token where a mask is 1, a scalar; 0 if it is so nowhere.
fn masked_mean(values: Tensor, mask: &Tensor) -> Tensor {
    (values * mask).sum_all() / mask.sum_all().maximum(1.0)
}

impl Loss for Ppo {
    fn requirements(&self) -> Requirements {
        Requirements {
            input: Input::Rollouts,
            score_head: Some(1),
            disable_dropout: true,
            ..Requirements::default()
        }
    }

    /// The micro-batch's share of the mean over the micro-batches. The metrics have TRL's names and are means over the tokens
    /// or states of the micro-batch; `policy/approxkl_avg` is half of the mean of `(p - p_old)^2`.
    fn compute(&self, batch: &Batch, policy: &Outputs, _reference: Option<&Outputs>) -> Result<Report> {
        let mask = batch.label_mask();
        let dtype = mask.dtype()?;
        let advantages = required(batch, "advantages")?;
        let logps = policy.token_logps()?;
        let old_logps = batch.token_field("old_logps").unwrap_or_else(|| logps.detach());
        let log_ratio = (logps - old_logps) * &mask;
        let ratio = log_ratio.exp();
        let unclipped = -(&ratio * &advantages);
        let clipped = -(ratio.clamp(1.0 - self.cliprange, 1.0 + self.cliprange) * advantages);
        let policy_loss = masked_mean(unclipped.maximum(&clipped), &mask);

        let states = batch.token_field("value_mask").unwrap_or_else(|| mask.clone());
        let values = policy.token_scores()?.reshape(&[-1]);
        let old_values = required(batch, "old_values")?;
        let returns = required(batch, "returns")?;
        let near_values =
            values.maximum(&old_values - self.cliprange_value).minimum(&old_values + self.cliprange_value);
        let (free, near) = ((values - &returns).pow(2.0), (near_values - returns).pow(2.0));
        let value_loss = masked_mean(free.maximum(&near), &states) * 0.5;

        let share = |clips: Tensor, mask| masked_mean(clips.cast(dtype), mask);
        let loss = (&policy_loss + &value_loss * self.vf_coef) / batch.global_batch_count();
        Ok(Report::new(loss)
            .metric("loss/policy_avg", policy_loss.detach())
            .metric("loss/value_avg", value_loss.detach())
            .metric("policy/clipfrac_avg", share(clipped.gt(unclipped), &mask))
            .metric("policy/approxkl_avg", masked_mean(log_ratio.detach().pow(2.0), &mask) * 0.5)
            .metric("val/clipfrac_avg", share(near.gt(free), &states))
            .metric("val/ratio", masked_mean(ratio.detach(), &mask)))
    }
}

export!(Ppo: Loss);
