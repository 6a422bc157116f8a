//! Plugins that judge answers.

use serde_json::Value;

use crate::{Parameters, Result};

pub use crate::bindings::reward::Completion;

/// Judges answers.
pub trait Reward: Parameters {
    /// A number for one answer; none where the reward does not apply to it.
    ///
    /// # Errors
    /// Whatever keeps the answer from being judged; the run ends with it.
    fn score(&self, completion: &Completion) -> Result<Option<f64>>;

    /// A number for each answer, in their order, for rewards that compare answers.
    ///
    /// # Errors
    /// As [`score`](Self::score).
    fn score_all(&self, completions: &[Completion]) -> Result<Vec<Option<f64>>> {
        completions.iter().map(|completion| self.score(completion)).collect()
    }
}

impl Completion {
    /// A finished answer and nothing else.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            messages_json: "[]".to_owned(),
            text: text.into(),
            token_ids: Vec::new(),
            finished: true,
            columns: Vec::new(),
        }
    }

    /// Adds a column of the row that it answers.
    #[must_use]
    pub fn with_column(mut self, name: impl Into<String>, value: &Value) -> Self {
        self.columns.push((name.into(), value.to_string()));
        self
    }

    /// A column of the row that it answers; none if the row has none of that name.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn column(&self, name: &str) -> Result<Option<Value>> {
        let found = self.columns.iter().find(|column| column.0 == name);
        Ok(found.map(|(_, text)| serde_json::from_str(text)).transpose()?)
    }
}
