use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool_call` or `tool_response`.
    pub role: String,
    /// The text.
    pub content: String,
    /// For assistant turns: whether to train on it; by default as the loss scale decides.
    #[serde(skip)]
    pub train: Option<bool>,
    /// For assistant turns: a factor on the loss of its tokens.
    #[serde(skip)]
    pub loss_scale: Option<f64>,
}

impl Message {
    /// A turn that says nothing about training.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), train: None, loss_scale: None }
    }
}

/// A row as the dataset plugins give it.
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
    /// Everything else that the row says. Losses may ask for numbers, and for lists of them.
    pub columns: Vec<(String, Value)>,
}

impl Sample {
    /// A conversation and nothing else.
    pub fn new(messages: Vec<Message>) -> Self {
        Self { messages, rejected: None, positives: Vec::new(), negatives: Vec::new(), columns: Vec::new() }
    }
}

/// A numeric cell of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Field {
    /// A number; true and false are 1 and 0.
    Number(f64),
    /// A list of numbers.
    Numbers(Vec<f64>),
}

impl Field {
    /// The number or the numbers that a JSON value is.
    pub fn from_json(value: &Value) -> Option<Self> {
        let number = |value: &Value| value.as_f64().or_else(|| Some(f64::from(u8::from(value.as_bool()?))));
        match value {
            Value::Array(values) => Some(Self::Numbers(values.iter().map(number).collect::<Option<_>>()?)),
            value => number(value).map(Self::Number),
        }
    }
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is a sample.
    Sample(Sample),
    /// It is left out, for the reason given.
    Skipped(String),
}

/// One sequence of tokens with what is trained on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// `[tokens]`.
    pub input_ids: Vec<u32>,
    /// `[tokens]`, not shifted: the factor on the loss of each token; 0 where it is not trained on, which the first never is.
    pub weights: Vec<f32>,
}

/// The label of a token that is not trained on.
pub const IGNORED: i64 = -100;

impl Encoded {
    /// `[tokens]`, not shifted: the token itself where it is trained on, else [`IGNORED`].
    pub fn labels(&self) -> Vec<i64> {
        let labels = self.input_ids.iter().zip(&self.weights);
        labels.map(|(id, weight)| if *weight > 0.0 { i64::from(*id) } else { IGNORED }).collect()
    }

    /// Number of tokens that are trained on.
    pub fn label_count(&self) -> usize {
        self.weights.iter().filter(|weight| **weight > 0.0).count()
    }
}

/// One row, tokenised.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// One sequence; the chosen and then the rejected one; or an anchor, then its positive, then its negative texts.
    pub sequences: Vec<Encoded>,
    /// Numeric columns.
    pub fields: Vec<(String, Field)>,
    /// What the row says, of rows that become prompts: rewards read it.
    pub prompt: Option<Prompt>,
}

/// A conversation that is to be answered, as text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// The turns before the answer.
    pub messages: Vec<Message>,
    /// All other columns of the row.
    pub columns: Vec<(String, Value)>,
}
