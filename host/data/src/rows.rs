use serde::Serialize;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool_call` or `tool_response`.
    pub role: String,
    /// The text.
    pub content: String,
    /// For assistant turns: whether to train on it; by default as the loss scale decides.
    #[serde(skip)]
    pub train: Option<bool>,
}

impl Message {
    /// A turn that says nothing about training.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), train: None }
    }
}

/// A row as the dataset plugins give it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The conversation, ending with the answer that is trained on.
    pub messages: Vec<Message>,
    /// For preference rows: the conversation that ends with the worse answer.
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

/// One sequence of tokens with what is trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// `[tokens]`.
    pub input_ids: Vec<u32>,
    /// `[tokens]`, not shifted: the token itself where it is trained on, else [`IGNORED`]. The first is always ignored.
    pub labels: Vec<i64>,
}

/// The label of a token that is not trained on.
pub const IGNORED: i64 = -100;

impl Encoded {
    /// Number of tokens that are trained on.
    pub fn label_count(&self) -> usize {
        self.labels.iter().filter(|label| **label != IGNORED).count()
    }
}

/// One row, tokenised.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// One sequence; or the chosen and then the rejected one.
    pub sequences: Vec<Encoded>,
    /// Numeric columns.
    pub fields: Vec<(String, f64)>,
}
