//! `r_i - mean(r)` over the group (Hu et al. 2025, "REINFORCE++", the variant with a baseline). What sets it apart is what
//! comes after: a deviation that is that of these differences and not of the rewards.

use super::mean;

/// The differences of a group.
pub(super) fn differences(rewards: &[f64]) -> Vec<f64> {
    let mean = mean(rewards);
    rewards.iter().map(|reward| reward - mean).collect()
}
