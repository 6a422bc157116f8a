use std::cmp::Ordering;

use crate::SamplingOptions;

/// Candidates that nucleus sampling sorts first; more only if these don't have the probability.
const FIRST_NUCLEUS: usize = 256;

/// A token by its probability, among those that temperature, min-p, top-k and top-p (Holtzman et al. 2020) leave, applied in
/// this order. None if all are ruled out.
pub(super) fn sample(logits: &[f32], options: &SamplingOptions, uniform: f64) -> Option<u32> {
    let greatest = logits.iter().copied().filter(|logit| !logit.is_nan()).fold(f32::NEG_INFINITY, f32::max);
    if greatest == f32::NEG_INFINITY {
        return None;
    }
    // Weights relative to the most probable token, so that nothing overflows.
    let weight = |logit: f32| (f64::from(logit - greatest) / options.temperature).exp();
    let infinite = greatest == f32::INFINITY;
    let kept = (0..).zip(logits).filter_map(|(id, &logit)| {
        let weight = if infinite { f64::from(u8::from(logit == greatest)) } else { weight(logit) };
        (weight > 0.0 && weight >= options.min_p).then_some((id, weight))
    });
    let mut kept: Vec<(u32, f64)> = kept.collect();
    if let Some(count) = options.top_k.map(|count| count as usize).filter(|count| *count < kept.len()) {
        best(&mut kept, count);
        kept.truncate(count);
    }
    if options.top_p < 1.0 {
        nucleus(&mut kept, options.top_p);
    }
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    let mut left = uniform * total;
    for (id, weight) in &kept {
        left -= weight;
        if left < 0.0 {
            return Some(*id);
        }
    }
    kept.last().map(|(id, _)| *id)
}

/// The most probable first, of equals the smaller id.
fn order(a: &(u32, f64), b: &(u32, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Puts the `count` best into the first places, sorted.
fn best(kept: &mut [(u32, f64)], count: usize) {
    if count < kept.len() {
        kept.select_nth_unstable_by(count, order);
    }
    if let Some(best) = kept.get_mut(..count) {
        best.sort_unstable_by(order);
    }
}

/// Leaves the fewest most probable tokens that together have the probability.
fn nucleus(kept: &mut Vec<(u32, f64)>, probability: f64) {
    let wanted = probability * kept.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut sorted = FIRST_NUCLEUS.min(kept.len());
    loop {
        best(kept, sorted);
        let mut sum = 0.0;
        let enough = kept.iter().take(sorted).position(|(_, weight)| {
            sum += weight;
            sum >= wanted
        });
        if let Some(last) = enough {
            return kept.truncate(last + 1);
        }
        if sorted == kept.len() {
            return;
        }
        sorted = (8 * sorted).min(kept.len());
    }
}
