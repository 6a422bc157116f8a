use crate::Result;
use crate::bindings::conversation;
use crate::bindings::dataset::exports::swift::plugin::dataset as contract;
use crate::guest::Guest;
use crate::instance::Rejection;
use crate::store::Views;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool_call` or `tool_response`.
    pub role: String,
    /// The text.
    pub content: String,
    /// For assistant turns: whether to train on it; by default as the run decides.
    pub train: Option<bool>,
    /// For assistant turns: a factor on the loss of its tokens.
    pub loss_scale: Option<f64>,
}

/// A row as the rest of the chain works on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The conversation: ending with the answer that is trained on, or with a question where none is needed.
    pub messages: Vec<Message>,
    /// For preference rows: the conversation that ends with the worse answer.
    pub rejected: Option<Vec<Message>>,
    /// For rows that compare texts: those that fit the conversation.
    pub positives: Vec<Vec<Message>>,
    /// For rows that compare texts: those that don't.
    pub negatives: Vec<Vec<Message>>,
    /// Everything else that the row says, as JSON.
    pub columns: Vec<(String, String)>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is a sample.
    Sample(Sample),
    /// It is left out, for the reason given.
    Skipped(String),
}

/// A plugin at work as a dataset adapter.
pub struct DatasetPlugin {
    guest: Guest<contract::Guest>,
}

impl DatasetPlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// How well it can read files with these columns: 0 not at all.
    ///
    /// # Errors
    /// If the plugin crashes or takes too much.
    pub fn matches(&mut self, columns: &[String]) -> Result<u32> {
        let call = |dataset: &contract::Guest, store: &mut _| dataset.call_matches(store, columns);
        self.guest.call("matches", Views::default(), call, |matches, _| Ok(matches))
    }

    /// Converts rows, each a JSON object, giving as many outcomes.
    ///
    /// # Errors
    /// If the plugin fails, crashes, takes too much, or gives another number of outcomes.
    pub fn convert(&mut self, rows: &[String]) -> Result<Vec<Outcome>> {
        self.guest.call(
            "convert",
            Views::default(),
            |dataset, store| dataset.call_convert(store, rows),
            |outcomes, _| {
                let outcomes = outcomes.map_err(Rejection::Failed)?;
                if outcomes.len() != rows.len() {
                    return Err(Rejection::Wrong(format!(
                        "{} outcomes for {} rows",
                        outcomes.len(),
                        rows.len()
                    )));
                }
                Ok(outcomes.into_iter().map(Outcome::from).collect())
            },
        )
    }
}

impl From<contract::Outcome> for Outcome {
    fn from(outcome: contract::Outcome) -> Self {
        match outcome {
            contract::Outcome::Skipped(reason) => Self::Skipped(reason),
            contract::Outcome::Sample(sample) => {
                let messages = |given: Vec<conversation::Message>| -> Vec<Message> {
                    given.into_iter().map(Message::from).collect()
                };
                Self::Sample(Sample {
                    messages: messages(sample.messages),
                    rejected: sample.rejected.map(messages),
                    positives: sample.positives.into_iter().map(messages).collect(),
                    negatives: sample.negatives.into_iter().map(messages).collect(),
                    columns: sample.columns,
                })
            }
        }
    }
}

impl From<conversation::Message> for Message {
    fn from(message: conversation::Message) -> Self {
        let conversation::Message { role, content, train, loss_scale } = message;
        Self { role, content, train, loss_scale }
    }
}

impl From<&Message> for conversation::Message {
    fn from(message: &Message) -> Self {
        let Message { role, content, train, loss_scale } = message.clone();
        Self { role, content, train, loss_scale }
    }
}
