use wasmtime::Store;

use crate::bindings::dataset::DatasetPlugin as Exported;
use crate::bindings::dataset::exports::swift::plugin::dataset as wit;
use crate::instance::{Exports, Instance};
use crate::state::State;
use crate::{Kind, Limits, Plugin, Result};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool_call` or `tool_response`.
    pub role: String,
    /// The text.
    pub content: String,
    /// For assistant turns: whether to train on it; by default as the run decides.
    pub train: Option<bool>,
}

/// What the rest of the chain works on.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The conversation.
    pub messages: Vec<Message>,
    /// The conversation that ends with the worse answer.
    pub rejected: Option<Vec<Message>>,
    /// Numeric columns that losses may ask for.
    pub fields: Vec<(String, f64)>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is a sample.
    Sample(Sample),
    /// It is left out, for the reason given.
    Skipped(String),
}

/// A running dataset adapter.
pub struct DatasetPlugin {
    instance: Instance<Exported>,
}

impl Exports for Exported {
    fn find(store: &mut Store<State>, component: &wasmtime::component::Instance) -> wasmtime::Result<Self> {
        Self::new(store, component)
    }
}

impl DatasetPlugin {
    pub(crate) fn start(plugin: &Plugin, limits: &Limits) -> Result<Self> {
        plugin.expect(Kind::Dataset)?;
        Ok(Self { instance: Instance::start(plugin, "{}".to_owned(), limits)? })
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.instance.name()
    }

    /// How well it can read rows with these columns; 0 not at all.
    ///
    /// # Errors
    /// If the plugin traps or exceeds a limit.
    pub fn matches(&mut self, columns: &[String]) -> Result<u32> {
        self.instance
            .call("matches", |store, exports| exports.swift_plugin_dataset().call_matches(store, columns))
    }

    /// Converts rows, each a JSON object, giving as many outcomes.
    ///
    /// # Errors
    /// If the plugin fails, traps or exceeds a limit, or gives another number of outcomes.
    pub fn convert(&mut self, rows: &[String]) -> Result<Vec<Outcome>> {
        const FUNCTION: &str = "convert";
        let outcome = self
            .instance
            .call(FUNCTION, |store, exports| exports.swift_plugin_dataset().call_convert(store, rows))?;
        let outcomes = outcome.map_err(|message| self.instance.failure(FUNCTION, message))?;
        if outcomes.len() != rows.len() {
            let what = format!("{} outcomes for {} rows", outcomes.len(), rows.len());
            return Err(self.instance.breach(FUNCTION, what));
        }
        Ok(outcomes.into_iter().map(from_wit).collect())
    }
}

fn from_wit(outcome: wit::Outcome) -> Outcome {
    let messages = |messages: Vec<wit::Message>| {
        messages.into_iter().map(|m| Message { role: m.role, content: m.content, train: m.train }).collect()
    };
    match outcome {
        wit::Outcome::Skipped(reason) => Outcome::Skipped(reason),
        wit::Outcome::Sample(sample) => Outcome::Sample(Sample {
            messages: messages(sample.messages),
            rejected: sample.rejected.map(messages),
            fields: sample.fields,
        }),
    }
}
