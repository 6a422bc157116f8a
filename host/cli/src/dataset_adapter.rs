//! Dataset plugins as the data crate wants them.

use swift_data::{Adapter, AdapterFailure, Message, Outcome, Sample};
use swift_runtime::{DatasetPlugin, Limits, Plugin};

/// A running dataset plugin.
pub(crate) struct DatasetAdapter {
    plugin: DatasetPlugin,
    digest: String,
}

impl DatasetAdapter {
    pub(crate) fn start(plugin: &Plugin, limits: &Limits) -> swift_runtime::Result<Self> {
        Ok(Self { plugin: plugin.dataset(limits)?, digest: plugin.digest().to_owned() })
    }
}

impl Adapter for DatasetAdapter {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn matches(&mut self, columns: &[String]) -> Result<u32, AdapterFailure> {
        self.plugin.matches(columns).map_err(failure)
    }

    fn convert(&mut self, rows: Vec<String>) -> Result<Vec<Outcome>, AdapterFailure> {
        let outcomes = self.plugin.convert(&rows).map_err(failure)?;
        Ok(outcomes.into_iter().map(outcome).collect())
    }
}

pub(crate) fn failure(error: swift_runtime::Error) -> AdapterFailure {
    AdapterFailure { message: error.to_string(), hint: error.hint() }
}

fn outcome(outcome: swift_runtime::Outcome) -> Outcome {
    match outcome {
        swift_runtime::Outcome::Skipped(reason) => Outcome::Skipped(reason),
        swift_runtime::Outcome::Sample(sample) => Outcome::Sample(Sample {
            messages: messages(sample.messages),
            rejected: sample.rejected.map(messages),
            positives: sample.positives.into_iter().map(messages).collect(),
            negatives: sample.negatives.into_iter().map(messages).collect(),
            columns: sample.columns.into_iter().map(|(name, text)| (name, json(text))).collect(),
        }),
    }
}

fn messages(messages: Vec<swift_runtime::Message>) -> Vec<Message> {
    let message = |message| {
        let swift_runtime::Message { role, content, train, loss_scale } = message;
        Message { role, content, train, loss_scale }
    };
    messages.into_iter().map(message).collect()
}

/// The value that a text is; what is no JSON is the text itself.
fn json(text: String) -> serde_json::Value {
    serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
}
