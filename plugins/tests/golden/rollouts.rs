//! Losses of answers that the model gave itself.

use serde_json::{Value, json};

use super::{Case, Golden, Packing, labels, number, numbers, parameters};

/// ms-swift's name in the log of what the file calls a metric. The smallest and the largest share of all devices are, on
/// one, the mean.
fn logged(name: &str) -> String {
    match name {
        "low_clip_mean" | "low_clip_min" => "clip_ratio/low_mean".into(),
        "high_clip_mean" | "high_clip_max" => "clip_ratio/high_mean".into(),
        "region_clip_mean" => "clip_ratio/region_mean".into(),
        other => other.replace("fipo_", "fipo/"),
    }
}

/// A value per sequence for each token of `lengths`.
fn spread(per_sequence: &Value, lengths: &[u32]) -> Vec<f64> {
    let values = numbers(per_sequence);
    values.iter().zip(lengths).flat_map(|(value, &length)| vec![*value; length as usize]).collect()
}

/// 1 up to the position that is `beyond` behind the last of each sequence, else 0; `[sequences, longest]`.
fn up_to(last: &Value, beyond: usize, longest: usize) -> Value {
    let row = |last: &f64| (0..longest).map(|t| u8::from(t <= *last as usize + beyond)).collect::<Vec<_>>();
    json!(numbers(last).iter().map(row).collect::<Vec<_>>())
}

impl Golden {
    /// Group relative policy optimisation and its variants.
    pub(crate) fn grpo() -> Vec<Case> {
        let golden = Self::read("grpo.json");
        let case = |(case, input): (&Value, &Value)| {
            let config = &case["config"];
            let packing = Packing::behind_last(&[&input["mask"]]);
            let lengths = packing.lengths();
            let pack = |values: &Value| packing.pack(&[values]);
            let mut token_fields = vec![
                ("advantages", spread(&input["advantages"], &lengths)),
                ("truncated", spread(&input["truncated"], &lengths)),
            ];
            if config["use_old"] == true {
                token_fields.push(("old_logps", pack(&input["old"])));
            }
            // A trainer divides by the micro-batches of the window what the file has; here the loss is a share of it already.
            let batches = number(&config["current_gradient_accumulation_steps"]);
            let metrics = case["metrics"].as_object().unwrap();
            Case {
                parameters: parameters(config, &["use_old", "current_gradient_accumulation_steps"]),
                labels: labels(&pack(&input["mask"])),
                // Two prompts with four answers each.
                groups: Some(vec![4, 4]),
                token_fields,
                policy: vec![
                    ("token_logps", pack(&input["policy"])),
                    ("entropies", pack(&input["entropies"])),
                ],
                reference: Some(vec![("token_logps", pack(&input["ref"]))]),
                loss: number(&case["loss"]) / batches,
                metrics: metrics.iter().map(|(name, value)| (logged(name), number(value))).collect(),
                gradient: Some((
                    "token_logps",
                    pack(&case["grad_policy"]).iter().map(|slope| slope / batches).collect(),
                )),
                lengths,
                ..Case::default()
            }
        };
        golden.cases().map(case).collect()
    }

    /// Proximal policy optimisation: each case once with its gradient by the log-probabilities, once with that by the values.
    pub(crate) fn ppo() -> Vec<Case> {
        let golden = Self::read("ppo.json");
        let case = |(case, input): (&Value, &Value)| {
            let last = &input["sequence_lengths"];
            let longest = input["values"][0].as_array().unwrap().len();
            let (mask, value_mask) = (up_to(last, 0, longest), up_to(last, 1, longest));
            let packing = Packing::behind_last(&[&value_mask]);
            let pack = |values: &Value| packing.pack(&[values]);
            let labels = labels(&pack(&mask));
            // The file's mean is over all positions, of which those that are filled up have none.
            let positions = (numbers(last).len() * longest) as f64;
            let labelled = numbers(&mask).iter().sum::<f64>();
            let metrics = vec![
                ("loss/policy_avg".into(), number(&case["pg_loss"])),
                ("loss/value_avg".into(), number(&case["vf_loss"])),
                ("policy/clipfrac_avg".into(), number(&case["pg_clipfrac"])),
                ("policy/approxkl_avg".into(), number(&case["approxkl"]) * positions / labelled),
            ];
            let of_trainer = ["gamma", "lam", "kl_coef", "kl_estimator", "whiten_rewards"];
            let by_logps = Case {
                parameters: parameters(&case["config"], &of_trainer),
                lengths: packing.lengths(),
                labels,
                token_fields: vec![
                    ("advantages", pack(&case["advantages"])),
                    ("old_logps", pack(&input["old_logprobs"])),
                    ("old_values", pack(&input["values"])),
                    ("returns", pack(&case["returns"])),
                    ("value_mask", pack(&value_mask)),
                ],
                policy: vec![
                    ("token_logps", pack(&input["new_logprobs"])),
                    ("token_scores", pack(&input["new_vpred_raw"])),
                ],
                loss: number(&case["loss"]),
                metrics,
                gradient: Some(("token_logps", pack(&case["grad_new_logprobs"]))),
                ..Case::default()
            };
            let by_values =
                Case { gradient: Some(("token_scores", pack(&case["grad_new_vpred"]))), ..by_logps.clone() };
            [by_logps, by_values]
        };
        golden.cases().flat_map(case).collect()
    }
}
