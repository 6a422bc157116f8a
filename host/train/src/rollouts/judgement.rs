use candle_core::{Device, Tensor as Value};
use swift_runtime::Completion;

use super::Answer;
use crate::advantage::{Rewarded, deviation};
use crate::metrics::Metrics;
use crate::{Error, Result, Reward};

/// What all rewards gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Judgement {
    /// Names of the rewards.
    pub(crate) names: Vec<String>,
    /// `[answers][rewards]`; none where a reward does not apply.
    pub(crate) rewards: Vec<Vec<Option<f64>>>,
}

impl Judgement {
    /// Asks all rewards, each for all answers at once. `generation` says which generation of the run it is.
    ///
    /// # Errors
    /// If a reward fails, or gives something that is not a finite number.
    pub(crate) fn of(
        completions: &[Completion],
        judges: &mut [Box<dyn Reward>],
        generation: u64,
    ) -> Result<Self> {
        let mut judgement = Self { names: Vec::new(), rewards: vec![Vec::new(); completions.len()] };
        for judge in judges {
            let given = judge.score(generation, completions)?;
            let name = judge.name().to_owned();
            if given.iter().flatten().any(|reward| !reward.is_finite()) {
                return Err(Error::RewardNotFinite { name });
            }
            judgement.rewards.iter_mut().zip(given).for_each(|(all, reward)| all.push(reward));
            judgement.names.push(name);
        }
        Ok(judgement)
    }
}

/// Notes what a generation was like, by the names that ms-swift logs.
pub(crate) fn observe(
    metrics: &mut Metrics,
    answers: &[Answer],
    judgement: &Judgement,
    rewarded: &Rewarded<'_>,
) -> Result<()> {
    let mut note = |name: &str, value: f64| -> Result<()> {
        metrics.observe(name, &Value::from_slice(&[value], 1, &Device::Cpu)?, None)
    };
    let lengths: Vec<f64> = answers.iter().map(|answer| answer.tokens.len() as f64).collect();
    let cut_off = answers.iter().filter(|answer| !answer.finished).count() as f64;
    note("completions/mean_length", crate::advantage::mean(&lengths))?;
    note("completions/min_length", lengths.iter().copied().fold(f64::INFINITY, f64::min))?;
    note("completions/max_length", lengths.iter().copied().fold(0.0, f64::max))?;
    note("completions/clipped_ratio", cut_off / answers.len().max(1) as f64)?;
    for (index, name) in judgement.names.iter().enumerate() {
        let given = judgement.rewards.iter().filter_map(|rewards| rewards.get(index).copied().flatten());
        let given: Vec<f64> = given.collect();
        if !given.is_empty() {
            note(&format!("rewards/{name}/mean"), crate::advantage::mean(&given))?;
            note(&format!("rewards/{name}/std"), deviation(&given))?;
        }
    }
    let totals = rewarded.totals();
    let deviations: Vec<f64> = totals.chunks(rewarded.group.max(1)).map(deviation).collect();
    let equal = deviations.iter().filter(|deviation| **deviation < 1e-8).count() as f64;
    note("reward", crate::advantage::mean(&totals))?;
    note("reward_std", crate::advantage::mean(&deviations))?;
    note("frac_reward_zero_std", equal / deviations.len().max(1) as f64)
}
