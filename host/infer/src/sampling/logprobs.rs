use std::cmp::Ordering;

use swift_kernels::softmax::Softmax;

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
    Softmax::new(logits, 1.0, 0.0)
        .map_or(f64::NEG_INFINITY, |softmax| f64::from(softmax.greatest()) + softmax.total().ln())
}

/// The tokens with the `count` greatest logits, the best first, of equals the first; what is not a number is passed over.
pub(crate) fn most_probable(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    /// Logits that are passed over together if none of them is among the best.
    const BLOCK: usize = 64;
    if count == 0 {
        return Vec::new();
    }
    // Twice as many as are wanted are kept, so that they are seldom sorted out.
    let room = count.saturating_mul(2).min(logits.len());
    let mut top = Vec::with_capacity(room + BLOCK);
    // Nothing is at most this.
    let mut least = f32::NAN;
    for (first, block) in (0..).step_by(BLOCK).zip(logits.chunks(BLOCK)) {
        // Without an early end, so that several are compared at once.
        if block.iter().fold(true, |all, logit| all & (*logit <= least)) {
            continue;
        }
        let is_among_best = |(_, logit): &(u32, f32)| !logit.is_nan() && (least.is_nan() || *logit > least);
        top.extend((first..).zip(block.iter().copied()).filter(is_among_best));
        if top.len() >= room && count < top.len() {
            shorten(&mut top, count);
            least = top.last().map_or(least, |(_, logit)| *logit);
        }
    }
    shorten(&mut top, count);
    top.sort_unstable_by(order);
    top
}

/// The greatest logit first, of equals the first token.
fn order(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Leaves the `count` best, the worst of them in the last place.
fn shorten(top: &mut Vec<(u32, f32)>, count: usize) {
    if let Some(last) = count.checked_sub(1).filter(|last| *last < top.len()) {
        top.select_nth_unstable_by(last, order);
        top.truncate(count);
    }
}
