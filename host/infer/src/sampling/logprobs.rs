use std::cmp::Ordering;

use crate::TokenLogprobs;

/// Log-probabilities of `token` and of the `count` most probable tokens under `logits` `[vocab]`.
pub(crate) fn token_logprobs(logits: &[f32], token: u32, count: u32) -> TokenLogprobs {
    let log_sum = log_sum(logits);
    let logprob = |logit: f32| (f64::from(logit) - log_sum) as f32;
    let own = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let rank = 1 + logits.iter().filter(|logit| **logit > own).count() as u32;
    let top = most_probable(logits, count as usize).into_iter().map(|(id, logit)| (id, logprob(logit)));
    TokenLogprobs { token, logprob: logprob(own), rank, top: top.collect() }
}

/// Log-probabilities of all tokens, `[vocab]`.
pub(crate) fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let log_sum = log_sum(logits);
    logits.iter().map(|logit| (f64::from(*logit) - log_sum) as f32).collect()
}

/// The logarithm of the sum of exponentials.
fn log_sum(logits: &[f32]) -> f64 {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - greatest).exp()).sum();
    f64::from(greatest) + sum.ln()
}

/// The tokens with the `count` greatest logits, the best first, of equals the first.
pub(crate) fn most_probable(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let order = |a: &(u32, f32), b: &(u32, f32)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    let mut top: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
    if count < top.len() {
        top.select_nth_unstable_by(count, order);
        top.truncate(count);
    }
    top.sort_unstable_by(order);
    top
}
