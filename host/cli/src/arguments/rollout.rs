//! Flags about answers that the model gives while it is trained.

use std::num::NonZeroUsize;

use clap::Args;
use clap::builder::PossibleValuesParser;
use swift_train::{Baseline, Deviation, Estimator, Scale};

/// How the model answers, and what is made of rewards. Only for losses that learn from answers of the model.
#[derive(Debug, Clone, Args, serde::Serialize)]
#[command(next_help_heading = "Rollouts")]
pub(crate) struct RolloutArguments {
    /// Answers to each prompt
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN.saturating_add(7))]
    pub(crate) num_generations: NonZeroUsize,
    /// The most tokens of an answer
    #[arg(long, value_name = "TOKENS", default_value_t = NonZeroUsize::MIN.saturating_add(511))]
    pub(crate) max_completion_length: NonZeroUsize,
    /// What logits are divided by before a token is chosen [default: 0.9]
    #[arg(long, value_name = "X")]
    pub(crate) temperature: Option<f64>,
    /// Choose among the most probable tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub(crate) top_p: f64,
    /// Choose among so many most probable tokens; -1 for all
    #[arg(long, value_name = "N", default_value_t = -1)]
    pub(crate) top_k: i64,
    /// Micro-batches of answers that are generated at once [default: the value of --gradient-accumulation-steps]
    #[arg(long, value_name = "N")]
    pub(crate) steps_per_generation: Option<NonZeroUsize>,
    /// Passes over the answers before there are new ones
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    pub(crate) num_iterations: NonZeroUsize,
    /// What is taken from rewards: the mean of the group (`grpo`), that of the others in it (`rloo`), or the first with a
    /// deviation of its own (`reinforce_plus_plus`)
    #[arg(long, value_name = "NAME", default_value = "grpo",
          value_parser = PossibleValuesParser::new(ESTIMATORS.map(|(word, _)| word)))]
    pub(crate) advantage_estimator: String,
    /// What the difference is divided by: the deviation in the `group`, in the `batch`, `none`, or each reward by its own and
    /// their sum once more (`gdpo`)
    #[arg(long, value_name = "NAME", default_value = "group",
          value_parser = PossibleValuesParser::new(SCALES.map(|(word, _)| word)))]
    pub(crate) scale_rewards: String,
    /// The weight of each reward, in the order of the plugins [default: 1 for each]
    #[arg(long, value_name = "X", num_args = 1..)]
    pub(crate) reward_weights: Vec<f64>,
    /// How much of the divergence from the reference model is taken from rewards [default: 0.05 with a value function, else 0]
    #[arg(long, value_name = "X")]
    pub(crate) kl_coef: Option<f64>,
    /// With a value function: what a reward of the next token counts now
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) gamma: f64,
    /// With a value function: how much later values are trusted
    #[arg(long, value_name = "X", default_value_t = 0.95)]
    pub(crate) lam: f64,
    /// With a value function: bring the rewards of tokens to deviation 1
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) whiten_rewards: bool,
    /// Write the answers, with their rewards, to `completions.jsonl` in the run directory
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set)]
    pub(crate) log_completions: bool,
}

/// ms-swift's words for what is taken from rewards.
pub(crate) const ESTIMATORS: [(&str, Estimator); 3] = [
    ("grpo", Estimator { baseline: Baseline::Group, deviation: Deviation::Rewards }),
    ("rloo", Estimator { baseline: Baseline::Others, deviation: Deviation::Rewards }),
    ("reinforce_plus_plus", Estimator { baseline: Baseline::Group, deviation: Deviation::Differences }),
];

/// ms-swift's words for what the difference is divided by.
pub(crate) const SCALES: [(&str, Scale); 4] =
    [("group", Scale::Group), ("batch", Scale::Batch), ("none", Scale::None), ("gdpo", Scale::EachReward)];

/// Flags whose value a plugin gets that has a parameter of the same name: they have no flag of their own then.
pub(crate) const SHARED: [&str; 15] = [
    "advantage_estimator",
    "gamma",
    "kl_coef",
    "lam",
    "log_completions",
    "max_completion_length",
    "num_generations",
    "num_iterations",
    "reward_weights",
    "scale_rewards",
    "steps_per_generation",
    "temperature",
    "top_k",
    "top_p",
    "whiten_rewards",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::arguments::tests::arguments;

    #[test]
    fn a_plugin_may_have_a_parameter_by_the_name_of_any_of_these_flags() {
        let told = serde_json::to_value(arguments(&[]).rollout).unwrap();
        let names: BTreeSet<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(SHARED));
    }
}
