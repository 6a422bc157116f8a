use std::collections::{BTreeMap, BTreeSet};

use crate::SamplingOptions;

/// Penalties on tokens that occurred: the repetition penalty of Keskar et al. 2019 (CTRL) with the sign rule of transformers,
/// and the presence and frequency penalties of OpenAI's interface, `logit - frequency * count - presence`.
pub(super) fn apply(logits: &mut [f32], options: &SamplingOptions, prompt: &[u32], generated: &[u32]) {
    let SamplingOptions { repetition_penalty, presence_penalty, frequency_penalty, .. } = *options;
    if repetition_penalty != 1.0 {
        let occurred: BTreeSet<u32> = prompt.iter().chain(generated).copied().collect();
        for id in occurred {
            if let Some(logit) = logits.get_mut(id as usize) {
                let factor = if *logit > 0.0 { repetition_penalty.recip() } else { repetition_penalty };
                *logit = (f64::from(*logit) * factor) as f32;
            }
        }
    }
    if presence_penalty != 0.0 || frequency_penalty != 0.0 {
        let mut counts = BTreeMap::<u32, u32>::new();
        generated.iter().for_each(|id| *counts.entry(*id).or_default() += 1);
        for (id, count) in counts {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit -= (frequency_penalty * f64::from(count) + presence_penalty) as f32;
            }
        }
    }
}
