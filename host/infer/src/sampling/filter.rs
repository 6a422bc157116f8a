use swift_kernels::softmax::Softmax;

use super::most_probable;
use crate::SamplingOptions;

/// Candidates that nucleus sampling sorts first; more only if these don't have the probability.
const FIRST_NUCLEUS: usize = 256;

/// A token by its probability, among those that temperature, min-p, top-k and top-p (Holtzman et al. 2020) leave, applied in
/// this order. None if all are ruled out.
pub(super) fn sample(logits: &[f32], options: &SamplingOptions, uniform: f64) -> Option<u32> {
    let softmax = Softmax::new(logits, options.temperature, options.min_p)?;
    let kept = match options.top_k.map(|count| count as usize).filter(|count| *count < logits.len()) {
        Some(count) => {
            let kept = best(&softmax, logits, count);
            let total = kept.iter().map(|(_, weight)| weight).sum::<f64>();
            nucleus(kept, options.top_p * total)
        }
        None if options.top_p < 1.0 => smallest_nucleus(&softmax, logits, options.top_p),
        None => return u32::try_from(softmax.at(uniform)?).ok(),
    };
    let mut left = uniform * kept.iter().map(|(_, weight)| weight).sum::<f64>();
    for (id, weight) in &kept {
        left -= weight;
        if left < 0.0 {
            return Some(*id);
        }
    }
    kept.last().map(|(id, _)| *id)
}

/// The `count` tokens with the greatest weights, the best first, without those that have none.
fn best(softmax: &Softmax<'_>, logits: &[f32], count: usize) -> Vec<(u32, f64)> {
    let weighed = most_probable(logits, count).into_iter();
    let weighed = weighed.map(|(id, logit)| (id, f64::from(softmax.weight(logit))));
    weighed.filter(|(_, weight)| *weight > 0.0).collect()
}

/// The fewest of these tokens, the best first, whose weights together are as much as is wanted.
fn nucleus(mut kept: Vec<(u32, f64)>, wanted: f64) -> Vec<(u32, f64)> {
    let mut sum = 0.0;
    let enough = kept.iter().position(|(_, weight)| {
        sum += weight;
        sum >= wanted
    });
    kept.truncate(enough.map_or(kept.len(), |last| last + 1));
    kept
}

/// The fewest tokens of all that together have the probability.
fn smallest_nucleus(softmax: &Softmax<'_>, logits: &[f32], probability: f64) -> Vec<(u32, f64)> {
    let wanted = probability * softmax.total();
    let mut count = FIRST_NUCLEUS;
    loop {
        let kept = best(softmax, logits, count);
        let sum: f64 = kept.iter().map(|(_, weight)| weight).sum();
        // Fewer than were asked for are all that have a weight.
        if sum >= wanted || kept.len() < count {
            return nucleus(kept, wanted);
        }
        count *= 8;
    }
}
