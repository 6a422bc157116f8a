use super::mean;

/// What is taken from the reward of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Baseline {
    /// The mean of its group: `r_i - mean(r)` (Shao et al. 2024, "DeepSeekMath", section 4.1.2).
    #[default]
    Group,
    /// The mean of the others of its group (Ahmadian et al. 2024, "Back to Basics", eq. 9), which is
    /// `n / (n - 1) (r_i - mean(r))`.
    Others,
}

impl Baseline {
    /// The differences of a group.
    pub(super) fn differences(self, rewards: &[f64]) -> Vec<f64> {
        let (mean, count) = (mean(rewards), rewards.len() as f64);
        let factor = match self {
            Self::Group => 1.0,
            // One answer has no others to be compared with.
            Self::Others if rewards.len() < 2 => 0.0,
            Self::Others => count / (count - 1.0),
        };
        rewards.iter().map(|reward| factor * (reward - mean)).collect()
    }
}
