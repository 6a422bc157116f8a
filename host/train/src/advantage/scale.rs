//! What differences from the baseline are divided by.

use super::{EPSILON, Rewarded, deviation, mean};

/// Added to deviations by [`Scale::EachReward`].
const SMALL: f64 = 1e-8;

/// What differences from the baseline are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// The deviation of the rewards of the group (Shao et al. 2024, "DeepSeekMath", section 4.1.2).
    #[default]
    Group,
    /// The deviation of all rewards that were given at the same time.
    Batch,
    /// Nothing (Liu et al. 2025, "Understanding R1-Zero-Like Training").
    None,
    /// Each reward by its deviation in the group, then the weighed sum by its deviation among all (arXiv 2601.05242, "GDPO").
    EachReward,
}

impl Scale {
    /// Divides `differences` by the deviation of `values`, of groups of this size or of all.
    pub(super) fn apply(self, differences: &[f64], values: &[f64], group: usize) -> Vec<f64> {
        let size = if self == Self::Group { group } else { differences.len().max(1) };
        if self == Self::None {
            return differences.to_vec();
        }
        let parts = differences.chunks(size).zip(values.chunks(size));
        let scaled = parts.flat_map(|(differences, values)| {
            let by = deviation(values) + EPSILON;
            differences.iter().map(move |difference| difference / by)
        });
        scaled.collect()
    }
}

/// Each reward normalised in its group, weighed and summed, and the sums normalised among all. A reward that does not apply
/// to an answer counts neither for it nor in its group.
pub(super) fn reward_by_reward(rewarded: &Rewarded<'_>) -> Vec<f64> {
    let mut sums = vec![0.0; rewarded.rewards.len()];
    let size = rewarded.group.max(1);
    for (group, sums) in rewarded.rewards.chunks(size).zip(sums.chunks_mut(size)) {
        for (index, weight) in rewarded.weights.iter().enumerate() {
            let given = |rewards: &Vec<Option<f64>>| rewards.get(index).copied().flatten();
            let known: Vec<f64> = group.iter().filter_map(given).collect();
            let (mean, by) = (mean(&known), deviation(&known) + SMALL);
            for (sum, reward) in sums.iter_mut().zip(group.iter().map(given)) {
                *sum += reward.map_or(0.0, |reward| weight * (reward - mean) / by);
            }
        }
    }
    let (mean, by) = (mean(&sums), deviation(&sums) + SMALL);
    sums.iter().map(|sum| (sum - mean) / by).collect()
}
