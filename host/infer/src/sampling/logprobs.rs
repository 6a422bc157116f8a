use std::cmp::Ordering;

use crate::TokenLogprobs;

/// Log-probabilities of `token` and of the `count` most probable tokens under `logits` `[vocab]`.
pub(crate) fn token_logprobs(logits: &[f32], token: u32, count: u32) -> TokenLogprobs {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - greatest).exp()).sum();
    let log_sum = f64::from(greatest) + sum.ln();
    let logprob = |logit: f32| (f64::from(logit) - log_sum) as f32;
    let own = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let rank = 1 + logits.iter().filter(|logit| **logit > own).count() as u32;
    let order = |a: &(u32, f32), b: &(u32, f32)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
    let mut top: Vec<(u32, f32)> = Vec::new();
    if count > 0 {
        top = (0..).zip(logits.iter().copied()).collect();
        let count = (count as usize).min(top.len());
        if count < top.len() {
            top.select_nth_unstable_by(count, order);
            top.truncate(count);
        }
        top.sort_unstable_by(order);
    }
    let top = top.into_iter().map(|(id, logit)| (id, logprob(logit))).collect();
    TokenLogprobs { token, logprob: logprob(own), rank, top }
}
