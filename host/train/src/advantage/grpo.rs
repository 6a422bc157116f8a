//! `r_i - mean(r)` over the group (Shao et al. 2024, "DeepSeekMath", section 4.1.2).

use super::mean;

/// The differences of a group.
pub(super) fn differences(rewards: &[f64]) -> Vec<f64> {
    let mean = mean(rewards);
    rewards.iter().map(|reward| reward - mean).collect()
}
