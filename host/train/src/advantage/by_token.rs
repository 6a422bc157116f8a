//! Advantages of single tokens where a value function says what was to be expected at each.

/// How they are estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ValueOptions {
    /// What a reward of the next token counts now.
    pub(crate) gamma: f64,
    /// How much later values are trusted.
    pub(crate) lambda: f64,
    /// Whether the rewards of all tokens are brought to deviation 1.
    pub(crate) whiten_rewards: bool,
}

/// What came of one answer, `[tokens]` each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValueEstimates {
    /// `A_t`.
    pub(crate) advantages: Vec<f64>,
    /// `A_t + V_t`, before whitening.
    pub(crate) returns: Vec<f64>,
}

/// Brings numbers to deviation 1, and to mean 0 if `shift_mean` holds: those of them for which `counts` holds, with an unbiased
/// variance and 1e-8 added to it, as TRL does.
fn whiten(values: &mut [Vec<f64>], counts: &[Vec<bool>], shift_mean: bool) {
    let all = values.iter().zip(counts).flat_map(|(values, counts)| values.iter().zip(counts));
    let counted: Vec<f64> = all.filter(|(_, counts)| **counts).map(|(value, _)| *value).collect();
    let (mean, deviation) = (super::mean(&counted), super::deviation(&counted));
    let factor = 1.0 / (deviation * deviation + 1e-8).sqrt();
    for value in values.iter_mut().flatten() {
        *value = (*value - mean) * factor + if shift_mean { 0.0 } else { mean };
    }
}

/// Generalised advantage estimation (Schulman et al. 2016, eq. 16) of several answers:
///
/// ```text
/// delta_t = r_t + gamma V_(t+1) - V_t
/// A_t     = delta_t + gamma lambda A_(t+1)
/// R_t     = A_t + V_t
/// ```
///
/// `rewards` and `values` are those of each token of each answer, also behind its end, where they are 0; the first `tokens` of
/// each count. Advantages are brought to mean 0 and deviation 1 over the tokens that count, and are 0 elsewhere.
pub(crate) fn value_estimates(
    rewards: &[Vec<f64>],
    values: &[Vec<f64>],
    tokens: &[usize],
    options: ValueOptions,
) -> Vec<ValueEstimates> {
    let mut rewards = rewards.to_vec();
    let counts = |beyond: usize| -> Vec<Vec<bool>> {
        let lengths = rewards.iter().map(Vec::len).zip(tokens);
        lengths.map(|(length, tokens)| (0..length).map(|t| t < tokens + beyond).collect()).collect()
    };
    let (of_rewards, of_tokens) = (counts(1), counts(0));
    if options.whiten_rewards {
        whiten(&mut rewards, &of_rewards, false);
        clear(&mut rewards, &of_rewards);
    }
    let mut advantages: Vec<Vec<f64>> =
        rewards.iter().zip(values).map(|(rewards, values)| backwards(rewards, values, options)).collect();
    let returns = advantages.iter().zip(values).map(|(advantages, values)| {
        advantages.iter().zip(values).map(|(advantage, value)| advantage + value).collect::<Vec<f64>>()
    });
    let returns: Vec<_> = returns.collect();
    whiten(&mut advantages, &of_tokens, true);
    clear(&mut advantages, &of_tokens);
    let pairs = advantages.into_iter().zip(returns);
    pairs.map(|(advantages, returns)| ValueEstimates { advantages, returns }).collect()
}

/// The advantages of one answer, from its end on.
fn backwards(rewards: &[f64], values: &[f64], options: ValueOptions) -> Vec<f64> {
    let mut after = (0.0, 0.0);
    let mut advantages: Vec<f64> = Vec::with_capacity(rewards.len());
    for (reward, value) in rewards.iter().zip(values).rev() {
        let (next_value, next_advantage) = after;
        let delta = reward + options.gamma * next_value - value;
        let advantage = delta + options.gamma * options.lambda * next_advantage;
        advantages.push(advantage);
        after = (*value, advantage);
    }
    advantages.reverse();
    advantages
}

/// Sets to 0 what does not count.
fn clear(values: &mut [Vec<f64>], counts: &[Vec<bool>]) {
    for (value, counts) in values.iter_mut().flatten().zip(counts.iter().flatten()) {
        if !counts {
            *value = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const GOLDEN: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/losses/ppo.json"));

    fn table(value: &Value) -> Vec<Vec<f64>> {
        let row =
            |row: &Value| row.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
        value.as_array().unwrap().iter().map(row).collect()
    }

    #[test]
    fn advantages_and_returns_agree_with_every_case() {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let mut compared = 0;
        for case in golden["cases"].as_array().unwrap() {
            let (config, input) =
                (&case["config"], &golden["inputs"][case["input"].as_u64().unwrap() as usize]);
            let number = |name: &str| config[name].as_f64().unwrap();
            let [old, reference, mut values] =
                ["old_logprobs", "ref_logprobs", "values"].map(|name| table(&input[name]));
            let last = input["sequence_lengths"].as_array().unwrap().iter();
            let tokens: Vec<usize> = last.map(|last| last.as_u64().unwrap() as usize + 1).collect();
            let scores = input["scores"].as_array().unwrap();
            let mut rewards = Vec::new();
            for (index, &count) in tokens.iter().enumerate() {
                let mut row: Vec<f64> = (0..old[index].len())
                    .map(|t| {
                        let lead = if t < count { reference[index][t] - old[index][t] } else { 0.0 };
                        let divergence = match config["kl_estimator"].as_str().unwrap() {
                            "k1" => -lead,
                            _ => lead.exp() - 1.0 - lead,
                        };
                        -number("kl_coef") * divergence
                    })
                    .collect();
                let end = count.min(row.len() - 1);
                row[end] += scores[index].as_f64().unwrap();
                values[index].iter_mut().skip(count + 1).for_each(|value| *value = 0.0);
                rewards.push(row);
            }
            let options = ValueOptions {
                gamma: number("gamma"),
                lambda: number("lam"),
                whiten_rewards: config["whiten_rewards"].as_bool().unwrap(),
            };
            let estimates = value_estimates(&rewards, &values, &tokens, options);
            for (name, of) in [("advantages", 0), ("returns", 1)] {
                for ((expected, estimate), &count) in table(&case[name]).iter().zip(&estimates).zip(&tokens) {
                    let actual = if of == 0 { &estimate.advantages } else { &estimate.returns };
                    for (expected, actual) in expected.iter().zip(actual).take(count) {
                        assert!((actual - expected).abs() < 1e-10, "{config}: {name} {actual} {expected}");
                        compared += 1;
                    }
                }
            }
        }
        assert_eq!(golden["cases"].as_array().unwrap().len(), 10);
        assert!(compared > 500, "{compared}");
    }
}
