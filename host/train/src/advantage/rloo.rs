//! `r_i - mean of all r_j but r_i` over the group (Ahmadian et al. 2024, "Back to Basics", eq. 9), which is
//! `n / (n - 1) (r_i - mean(r))`.

use super::mean;

/// The differences of a group; one answer has no others to be compared with.
pub(super) fn differences(rewards: &[f64]) -> Vec<f64> {
    let mean = mean(rewards);
    let count = rewards.len() as f64;
    let factor = if rewards.len() > 1 { count / (count - 1.0) } else { 0.0 };
    rewards.iter().map(|reward| factor * (reward - mean)).collect()
}
