//! How much better an answer is than was to be expected: what losses of rollouts multiply their gradients with.
//!
//! Answers lie group by group, a group being the answers to one prompt. A [`Baseline`] is taken from the reward of each; a
//! [`Scale`] divides the difference by a deviation. All numbers are `f64`; deviations are unbiased (divided by one less than
//! the count) and 0 for a single number.

mod baseline;
mod by_token;
mod scale;

pub use baseline::Baseline;
pub(crate) use by_token::{ValueOptions, value_estimates};
pub use scale::Scale;

/// Added to deviations, so that equal rewards divide by no zero, as TRL does it.
const EPSILON: f64 = 1e-4;

/// Of what numbers the deviation is that differences are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deviation {
    /// Of the rewards.
    #[default]
    Rewards,
    /// Of the differences themselves (Hu et al. 2025, "REINFORCE++", the variant with a baseline).
    Differences,
}

/// How advantages are estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimator {
    /// What is taken from a reward.
    pub baseline: Baseline,
    /// What the deviation is taken of.
    pub deviation: Deviation,
}

/// What is known of answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rewarded<'a> {
    /// What each reward gave to each answer, `[answers][rewards]`; none where it does not apply.
    pub(crate) rewards: &'a [Vec<Option<f64>>],
    /// The weight of each reward.
    pub(crate) weights: &'a [f64],
    /// What is taken from the reward of each answer: a divergence from the reference, times its coefficient.
    pub(crate) penalties: Option<&'a [f64]>,
    /// Answers in a group.
    pub(crate) group: usize,
}

impl Rewarded<'_> {
    /// The weighed sum of the rewards of each answer, those left out that do not apply, less the penalty.
    pub(crate) fn totals(&self) -> Vec<f64> {
        let sum = |rewards: &Vec<Option<f64>>| {
            rewards.iter().zip(self.weights).map(|(reward, weight)| reward.unwrap_or(0.0) * weight).sum()
        };
        let totals: Vec<f64> = self.rewards.iter().map(sum).collect();
        match self.penalties {
            None => totals,
            Some(penalties) => totals.iter().zip(penalties).map(|(total, penalty)| total - penalty).collect(),
        }
    }

    /// The advantage of each answer.
    pub(crate) fn advantages(&self, estimator: Estimator, scale: Scale) -> Vec<f64> {
        if scale == Scale::EachReward {
            return scale::reward_by_reward(self);
        }
        let (totals, group) = (self.totals(), self.group.max(1));
        let groups = totals.chunks(group);
        let differences: Vec<f64> = groups.flat_map(|group| estimator.baseline.differences(group)).collect();
        let scaled_by = match estimator.deviation {
            Deviation::Rewards => &totals,
            Deviation::Differences => &differences,
        };
        scale.apply(&differences, scaled_by, group)
    }
}

/// The mean; 0 of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The unbiased standard deviation; 0 of one number or of none.
pub(crate) fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / values.len().saturating_sub(1).max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const GOLDEN: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/losses/advantages.json"));

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    /// The words of the file.
    fn estimator(word: &str) -> Estimator {
        let (group, of_rewards) = (Baseline::Group, Deviation::Rewards);
        match word {
            "grpo" => Estimator { baseline: group, deviation: of_rewards },
            "rloo" => Estimator { baseline: Baseline::Others, deviation: of_rewards },
            "reinforce_plus_plus" => Estimator { baseline: group, deviation: Deviation::Differences },
            other => panic!("{other}"),
        }
    }

    fn scale(word: &str) -> Scale {
        match word {
            "group" => Scale::Group,
            "batch" => Scale::Batch,
            "none" => Scale::None,
            "gdpo" => Scale::EachReward,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn advantages_agree_with_every_case() {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        for case in cases {
            let (config, input) =
                (&case["config"], &golden["inputs"][case["input"].as_u64().unwrap() as usize]);
            let rows = input["rewards_per_func"].as_array().unwrap();
            // The file writes "does not apply" as an object.
            let rewards: Vec<Vec<Option<f64>>> =
                rows.iter().map(|row| row.as_array().unwrap().iter().map(Value::as_f64).collect()).collect();
            let beta = config["beta"].as_f64().unwrap();
            let penalties: Vec<f64> = numbers(&input["kl_values"]).iter().map(|kl| beta * kl).collect();
            let rewarded = Rewarded {
                rewards: &rewards,
                weights: &numbers(&input["reward_weights"]),
                penalties: config["kl_in_reward"].as_bool().unwrap().then_some(&penalties),
                group: config["num_generations"].as_u64().unwrap() as usize,
            };
            let advantages = rewarded.advantages(
                estimator(config["advantage_estimator"].as_str().unwrap()),
                scale(config["scale_rewards"].as_str().unwrap()),
            );
            for (name, actual) in [("advantages", advantages), ("rewards", rewarded.totals())] {
                let expected = numbers(&case[name]);
                assert_eq!(actual.len(), expected.len());
                for (actual, expected) in actual.iter().zip(&expected) {
                    assert!((actual - expected).abs() < 1e-10, "{config}: {name} {actual} {expected}");
                }
            }
        }
        assert_eq!(cases.len(), 38);
    }

    #[test]
    fn a_group_of_one_answer_has_no_advantage() {
        let rewards = [vec![Some(3.0)], vec![Some(1.0)]];
        let rewarded = Rewarded { rewards: &rewards, weights: &[1.0], penalties: None, group: 1 };
        for estimator in ["grpo", "rloo", "reinforce_plus_plus"].map(estimator) {
            for scale in [Scale::Group, Scale::Batch, Scale::None] {
                assert_eq!(rewarded.advantages(estimator, scale), [0.0, 0.0]);
            }
        }
    }
}
