//! Losses of ms-swift and TRL on random inputs, with their metrics and gradients, from `tests/golden/losses`: what every
//! loss of this repository is compared with, natively by its own tests and as a component by those of this package.

#![allow(
    dead_code,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test takes its own part of this file, and may stop at the first surprise"
)]

pub(crate) mod check;
mod preference;
mod rollouts;
mod sequences;
mod tokens;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// The columns of a model's outputs: name in the contract and values in row-major order.
pub(crate) type Columns = Vec<(&'static str, Vec<f64>)>;

/// What goes into a loss, and what must come out of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// The loss's hyper-parameters.
    pub(crate) parameters: Map<String, Value>,
    /// Whether the loss goes on from the case before, with what it remembers.
    pub(crate) continues: bool,
    /// Tokens in each sequence.
    pub(crate) lengths: Vec<u32>,
    /// `[tokens]`: -100 where none counts.
    pub(crate) labels: Vec<i64>,
    /// `[tokens]`: the weight of each label, 1 by default.
    pub(crate) weights: Option<Vec<f64>>,
    /// Sequences of each row, for groups.
    pub(crate) groups: Option<Vec<u32>>,
    /// Numeric columns of the rows.
    pub(crate) fields: Vec<(&'static str, Vec<f64>)>,
    /// Numbers for each token, `[tokens]` each.
    pub(crate) token_fields: Vec<(&'static str, Vec<f64>)>,
    /// Labels that count in the whole window, if the batch is a part of it.
    pub(crate) window_labels: Option<u64>,
    /// What the policy computed.
    pub(crate) policy: Columns,
    /// What the reference model computed.
    pub(crate) reference: Option<Columns>,
    /// What the teacher computed.
    pub(crate) teacher: Option<Columns>,
    /// The loss.
    pub(crate) loss: f64,
    /// Its metrics.
    pub(crate) metrics: Vec<(String, f64)>,
    /// Its gradient by one of the policy's outputs, where the file has it.
    pub(crate) gradient: Option<(&'static str, Vec<f64>)>,
}

/// A file of cases.
pub(crate) struct Golden(Value);

impl Golden {
    fn read(name: &str) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = here.ancestors().map(|folder| folder.join("tests/golden/losses").join(name));
        let path = path.into_iter().find(|path| path.is_file()).unwrap();
        Self(serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    }

    /// Each case with its input.
    fn cases(&self) -> impl Iterator<Item = (&Value, &Value)> {
        let input = |case: &Value| &self.0["inputs"][case["input"].as_u64().unwrap() as usize];
        self.0["cases"].as_array().unwrap().iter().map(move |case| (case, input(case)))
    }
}

/// All numbers of a nested list, end to end.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![number(value)],
    }
}

/// A number, true and false being 1 and 0.
pub(crate) fn number(value: &Value) -> f64 {
    value.as_bool().map_or_else(|| value.as_f64().unwrap(), |value| f64::from(u8::from(value)))
}

/// Values `[sequences, longest]` of which only the first of each row are real.
pub(crate) struct Packing(Vec<usize>);

impl Packing {
    /// Cuts each row behind its last position for which `mask` is not 0.
    fn behind_last(masks: &[&Value]) -> Self {
        let end = |row: &Value| numbers(row).iter().rposition(|mask| *mask != 0.0).map_or(0, |last| last + 1);
        Self(masks.iter().flat_map(|mask| mask.as_array().unwrap()).map(end).collect())
    }

    fn lengths(&self) -> Vec<u32> {
        self.0.iter().map(|&length| length as u32).collect()
    }

    /// The real positions of all rows, end to end.
    fn pack(&self, padded: &[&Value]) -> Vec<f64> {
        let rows = padded.iter().flat_map(|rows| rows.as_array().unwrap());
        rows.zip(&self.0)
            .flat_map(|(row, &length)| numbers(&Value::from(row.as_array().unwrap()[..length].to_vec())))
            .collect()
    }
}

/// The labels of positions that count or don't.
fn labels(mask: &[f64]) -> Vec<i64> {
    mask.iter().map(|&mask| if mask == 0.0 { -100 } else { 1 }).collect()
}

/// The members of an object that a loss takes as its parameters.
fn parameters(config: &Value, but: &[&str]) -> Map<String, Value> {
    let members = config.as_object().unwrap().iter().filter(|(name, _)| !but.contains(&name.as_str()));
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn metrics(case: &Value) -> Vec<(String, f64)> {
    case["metrics"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), number(value))).collect()
}
