//! Losses that are sums over tokens of what follows from the logits.

use serde_json::{Value, json};

use super::{Case, Golden, Packing, number, numbers, parameters};

/// 1 where there is a label.
fn counts(labels: &Value) -> Value {
    let row = |row: &Value| numbers(row).iter().map(|label| u8::from(*label != -100.0)).collect::<Vec<_>>();
    json!(labels.as_array().unwrap().iter().map(row).collect::<Vec<_>>())
}

/// Every row one to the left; what falls off comes back at the end, where the first token has no label.
fn shifted(rows: &Value) -> Value {
    let shift = |row: &Value| {
        let mut row = row.as_array().unwrap().clone();
        row.rotate_left(1);
        Value::from(row)
    };
    rows.as_array().unwrap().iter().map(shift).collect()
}

fn integers(values: &[f64]) -> Vec<i64> {
    values.iter().map(|value| *value as i64).collect()
}

impl Golden {
    /// Supervised fine-tuning, also with weights and as dynamic fine-tuning.
    pub(crate) fn sft() -> Vec<Case> {
        let golden = Self::read("sft_dft.json");
        let case = |(case, input): (&Value, &Value)| {
            let labels = shifted(&input["labels"]);
            let packing = Packing::behind_last(&[&counts(&labels)]);
            let weighted = case["config"]["loss_scale"] == true;
            Case {
                parameters: parameters(&case["config"], &["loss_scale", "num_items_in_batch"]),
                lengths: packing.lengths(),
                labels: integers(&packing.pack(&[&labels])),
                weights: weighted.then(|| packing.pack(&[&shifted(&input["loss_scale"])])),
                window_labels: case["num_items_in_batch"].as_u64(),
                policy: vec![("logits", packing.pack(&[&input["logits"]]))],
                loss: number(&case["loss"]),
                gradient: case.get("grad_logits").map(|gradient| ("logits", packing.pack(&[gradient]))),
                ..Case::default()
            }
        };
        golden.cases().map(case).collect()
    }

    /// Generalised knowledge distillation.
    pub(crate) fn gkd() -> Vec<Case> {
        let golden = Self::read("gkd.json");
        let case = |(case, input): (&Value, &Value)| {
            let labels = &input["shifted_labels"];
            let packing = Packing::behind_last(&[&counts(labels)]);
            let gradient = case.get("grad_student_logits");
            Case {
                parameters: parameters(&case["config"], &[]),
                lengths: packing.lengths(),
                labels: integers(&packing.pack(&[labels])),
                policy: vec![("logits", packing.pack(&[&input["student_logits"]]))],
                teacher: Some(vec![("logits", packing.pack(&[&input["teacher_logits"]]))]),
                loss: number(&case["loss"]),
                gradient: gradient.map(|gradient| ("logits", packing.pack(&[gradient]))),
                ..Case::default()
            }
        };
        golden.cases().map(case).collect()
    }
}
