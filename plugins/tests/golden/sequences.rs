//! Losses of one vector or score for each sequence.

use serde_json::{Map, Value};

use super::{Case, Golden, metrics, number, numbers};

/// Cases whose settings are environment variables: parameters of the same names in lower case. Each sequence is one token.
fn of_sequences(case: &Value, labels: &[f64]) -> Case {
    let environment = case["env"].as_object().unwrap().iter();
    // As ms-swift reads them, from text.
    let parse = |text: &str| serde_json::from_str(&text.to_lowercase()).unwrap();
    let mut parameters: Map<String, Value> =
        environment.map(|(name, value)| (name.to_lowercase(), parse(value.as_str().unwrap()))).collect();
    parameters.insert("loss_type".into(), case["loss_type"].clone());
    Case {
        parameters,
        fields: vec![("label", labels.to_vec())],
        loss: number(&case["loss"]),
        ..Case::default()
    }
}

/// Lengths of runs that each begin with a 1.
fn runs(labels: &[f64]) -> Vec<u32> {
    let starts = (0..).zip(labels).filter(|(_, label)| **label == 1.0).map(|(place, _)| place);
    let ends = starts.clone().skip(1).chain([labels.len() as u32]);
    starts.zip(ends).map(|(start, end)| end - start).collect()
}

impl Golden {
    /// A reward model.
    pub(crate) fn rm() -> Vec<Case> {
        let golden = Self::read("rm.json");
        let case = |(case, input): (&Value, &Value)| {
            let both = |of: &Value, chosen: &str, rejected: &str| {
                [numbers(&of[chosen]), numbers(&of[rejected])].concat()
            };
            let scores = both(input, "chosen_scores", "rejected_scores");
            let config = &case["config"];
            let margin = (config["use_margin"] == true).then(|| ("margin", numbers(&input["margin"])));
            let parameters = [("center_rewards_coefficient".to_owned(), config["center"].clone())];
            Case {
                parameters: parameters.into_iter().collect(),
                lengths: vec![1; scores.len()],
                labels: vec![-100; scores.len()],
                fields: margin.into_iter().collect(),
                policy: vec![("scores", scores)],
                loss: number(&case["loss"]),
                metrics: metrics(case),
                gradient: Some(("scores", both(case, "grad_chosen_scores", "grad_rejected_scores"))),
                ..Case::default()
            }
        };
        golden.cases().map(case).collect()
    }

    /// Embeddings. The file's gradients are by vectors of length 1; ours are by what is scaled to that length, which takes
    /// away the part along the vector.
    pub(crate) fn embedding() -> Vec<Case> {
        let golden = Self::read("embedding.json");
        let case = |(case, input): (&Value, &Value)| {
            let labels = numbers(&input["labels"]);
            let rows = input["last_hidden_state"].as_array().unwrap().iter().map(numbers);
            let slopes = case["grad"].as_array().unwrap().iter().map(numbers);
            let across = |(row, slope): (Vec<f64>, Vec<f64>)| {
                let along: f64 = row.iter().zip(&slope).map(|(x, g)| x * g).sum();
                row.iter().zip(slope).map(|(x, g)| g - along * x).collect::<Vec<_>>()
            };
            let gradient = rows.clone().zip(slopes).flat_map(across).collect();
            let sequences = rows.len();
            // Each group has one sequence more than labels: its first.
            let groups = match case["loss_type"] == "infonce" {
                true => runs(&labels).iter().map(|length| length + 1).collect(),
                false => vec![2; sequences / 2],
            };
            let mut case = of_sequences(case, &labels);
            case.fields.retain(|_| groups.iter().all(|length| *length == 2));
            case.fields.push(("positive_count", vec![1.0; groups.len()]));
            Case {
                lengths: vec![1; sequences],
                labels: vec![-100; sequences],
                groups: Some(groups),
                policy: vec![("last_hidden", rows.flatten().collect())],
                gradient: Some(("last_hidden", gradient)),
                ..case
            }
        };
        golden.cases().map(case).collect()
    }

    /// Rerankers. The file has no scores of the groups' first sequences, which don't count.
    pub(crate) fn reranker() -> Vec<Case> {
        let golden = Self::read("reranker.json");
        let case = |(case, input): (&Value, &Value)| {
            let groups = runs(&numbers(&input["labels"]));
            let with_first = |values: Vec<f64>, first: f64| -> Vec<f64> {
                let mut values = values.into_iter();
                let group = |length: &u32| -> Vec<f64> {
                    [first].into_iter().chain(values.by_ref().take(*length as usize)).collect()
                };
                groups.iter().map(group).collect::<Vec<_>>().concat()
            };
            let scores = with_first(numbers(&input["logits"]), 9.0);
            Case {
                fields: vec![("positive_count", vec![1.0; groups.len()])],
                lengths: vec![1; scores.len()],
                labels: vec![-100; scores.len()],
                policy: vec![("scores", scores)],
                gradient: Some(("scores", with_first(numbers(&case["grad"]), 0.0))),
                groups: Some(groups.iter().map(|length| length + 1).collect()),
                ..of_sequences(case, &[])
            }
        };
        golden.cases().map(case).collect()
    }
}
