//! Losses that compare whole answers by their log-probabilities.

use serde_json::{Value, json};

use super::{Case, Columns, Golden, Packing, labels, metrics, number, numbers, parameters};

const MASKS: [&str; 2] = ["mask_chosen", "mask_rejected"];

fn members<'a>(parent: &'a Value, names: [&str; 2]) -> Vec<&'a Value> {
    names.iter().map(|name| &parent[name]).collect()
}

/// A case of preference pairs but for its parameters.
fn pairs(case: &Value, input: &Value) -> Case {
    let packing = Packing::behind_last(&members(input, MASKS));
    let mask = packing.pack(&members(input, MASKS));
    let logps =
        |of: &str| packing.pack(&members(input, [&format!("{of}_chosen"), &format!("{of}_rejected")]));
    let columns = |of: &str| -> Columns { vec![("token_logps", logps(of)), ("mean_logits", mask.clone())] };
    let gradient = packing.pack(&members(case, ["grad_policy_chosen", "grad_policy_rejected"]));
    Case {
        lengths: packing.lengths(),
        labels: labels(&mask),
        policy: columns("policy"),
        reference: input.get("ref_chosen").map(|_| columns("ref")),
        loss: number(&case["loss"]),
        metrics: metrics(case),
        gradient: Some(("token_logps", gradient)),
        ..Case::default()
    }
}

impl Golden {
    /// Direct preference optimisation and its variants.
    pub(crate) fn dpo() -> Vec<Case> {
        let golden = Self::read("dpo.json");
        let case = |(case, input): (&Value, &Value)| {
            let mut parameters = parameters(&case["config"], &["f_alpha"]);
            if let Some(loss_type @ Value::String(_)) = parameters.get("loss_type").cloned() {
                parameters.insert("loss_type".into(), json!([loss_type]));
            }
            if let Some(coefficient) = case["config"].get("f_alpha") {
                parameters.insert("f_alpha_divergence_coef".into(), coefficient.clone());
            }
            let continues = case["sequence_of_calls"].as_u64().is_some_and(|call| call > 0);
            Case { parameters, continues, ..pairs(case, input) }
        };
        golden.cases().map(case).collect()
    }

    /// Contrastive preference optimisation: the cases that are not SimPO.
    pub(crate) fn cpo() -> Vec<Case> {
        Self::cpo_or_simpo(false, &["simpo_gamma", "alpha"])
    }

    /// Simple preference optimisation.
    pub(crate) fn simpo() -> Vec<Case> {
        Self::cpo_or_simpo(true, &["loss_type"])
    }

    fn cpo_or_simpo(simpo: bool, but: &[&str]) -> Vec<Case> {
        let golden = Self::read("cpo_simpo.json");
        let wanted = golden.cases().filter(|(case, _)| (case["config"]["loss_type"] == "simpo") == simpo);
        wanted
            .map(|(case, input)| Case { parameters: parameters(&case["config"], but), ..pairs(case, input) })
            .collect()
    }

    /// Odds-ratio preference optimisation.
    pub(crate) fn orpo() -> Vec<Case> {
        let golden = Self::read("orpo.json");
        let case = |(case, input): (&Value, &Value)| Case {
            parameters: parameters(&case["config"], &[]),
            ..pairs(case, input)
        };
        golden.cases().map(case).collect()
    }

    /// Kahneman-Tversky optimisation. The file has sums and numbers of rows for what is logged as a mean.
    pub(crate) fn kto() -> Vec<Case> {
        let golden = Self::read("kto.json");
        let case = |(case, input): (&Value, &Value)| {
            let mismatches = case["config"]["loss_type"] == "kto";
            let both = |own: &str| {
                let names = [own.to_owned(), format!("{own}_KL")];
                names.iter().take(if mismatches { 2 } else { 1 }).map(|name| &input[name]).collect::<Vec<_>>()
            };
            let packing = Packing::behind_last(&both("mask"));
            let mask = packing.pack(&both("mask"));
            let columns =
                |of: &str| vec![("token_logps", packing.pack(&both(of))), ("mean_logits", mask.clone())];
            // The mismatches have no gradient.
            let mut gradient = packing.pack(&[&case["grad_policy"]]);
            gradient.resize(mask.len(), 0.0);
            let all = metrics(case);
            let count = |side: &str| all.iter().find(|(name, _)| *name == format!("count/{side}")).unwrap().1;
            let means = all.iter().filter(|(name, _)| !name.starts_with("count/"));
            let means = means.map(|(name, value)| match name.strip_suffix("_sum") {
                Some(name) => (name.to_owned(), value / count(name.split_once('/').unwrap().1)),
                None => (name.clone(), *value),
            });
            Case {
                parameters: parameters(&case["config"], &[]),
                lengths: packing.lengths(),
                labels: labels(&mask),
                fields: vec![("label", numbers(&input["label"]))],
                policy: columns("policy"),
                reference: Some(columns("ref")),
                loss: number(&case["loss"]),
                metrics: means.collect(),
                gradient: Some(("token_logps", gradient)),
                ..Case::default()
            }
        };
        golden.cases().map(case).collect()
    }
}
