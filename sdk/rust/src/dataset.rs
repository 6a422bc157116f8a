//! Plugins that turn rows of a user's files into samples.

use serde_json::Value;

use crate::{Parameters, Result};

pub use crate::bindings::dataset::{Message, Outcome, Sample};

/// A row of a user's file: columns by name.
pub type Row = serde_json::Map<String, Value>;

/// Turns rows of a user's files into samples.
pub trait Dataset: Parameters {
    /// How well the plugin can read files with these columns: 0 not at all; the plugin with the highest number gets them.
    fn matches(&self, columns: &[String]) -> u32;

    /// The sample that a row is. [`conversation`](crate::conversation) reads the usual spellings of messages.
    ///
    /// # Errors
    /// Why the row is left out; the host counts the rows by reason and shows the first. The run goes on.
    fn convert(&self, row: &Row) -> Result<Sample>;
}

/// What became of a row.
pub(crate) fn outcome(dataset: &impl Dataset, row: &Row) -> Outcome {
    match dataset.convert(row) {
        Ok(sample) => Outcome::Sample(sample),
        Err(reason) => Outcome::Skipped(reason.message().to_owned()),
    }
}

impl Message {
    /// A message that is trained on as the run decides.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), train: None, loss_scale: None }
    }
}

impl Sample {
    /// A conversation and nothing else.
    pub fn new(messages: Vec<Message>) -> Self {
        Self { messages, rejected: None, positives: Vec::new(), negatives: Vec::new(), columns: Vec::new() }
    }

    /// Adds something else that the row says.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, value: &Value) -> Self {
        self.columns.push((name.into(), value.to_string()));
        self
    }
}
