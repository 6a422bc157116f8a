//! From a conversation to tokens, with what is trained on.

mod chat;
mod jinja;
mod pieces;
mod table;

use std::str::FromStr;

use jiff::civil::DateTime;

use crate::digest::digest;
use crate::encode::tokenize;
use crate::error::{Error, Result};
use crate::rows::{Encoded, Message};
use crate::tokenizer::Tokenizer;
use chat::Conversation;
use jinja::JinjaTemplate;
use table::TableTemplate;

pub use pieces::{PieceContent, RenderOptions, Rendered, RenderedPiece, Renderer, TrainedParts, Weigher};

/// Name of the template that renders the model's own `chat_template`.
const JINJA: &str = "jinja";

/// How conversations become tokens.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    kind: Kind,
    options: TemplateOptions,
    tokenizer: Tokenizer,
}

#[derive(Clone, Debug)]
enum Kind {
    Table(Box<TableTemplate>),
    Jinja(JinjaTemplate),
}

/// What the user may say about a template.
#[derive(Clone, Debug)]
pub struct TemplateOptions {
    /// The system text of rows that have none of their own, instead of the template's; empty for none.
    pub system: Option<String>,
    /// Whether prompts ask for thoughts before the answer; by default they do not.
    pub enable_thinking: Option<bool>,
    /// Whether the thoughts of earlier answers stay in the conversation; by default in training on all answers only.
    pub preserve_thinking: Option<bool>,
    /// Whether empty thoughts go before answers without any, where the template has a form for it.
    pub add_non_thinking_prefix: bool,
    /// The time that a chat template sees as now. Fixed by the caller, so that a run can be repeated.
    pub now: Option<DateTime>,
}

impl Default for TemplateOptions {
    fn default() -> Self {
        Self {
            system: None,
            enable_thinking: None,
            preserve_thinking: None,
            add_non_thinking_prefix: true,
            now: None,
        }
    }
}

/// Which parts of a conversation are trained on, where its messages don't say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossScale {
    /// All answers.
    #[default]
    Default,
    /// The last answer.
    LastRound,
    /// Every token.
    All,
}

impl FromStr for LossScale {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "default" => Ok(Self::Default),
            "last_round" => Ok(Self::LastRound),
            "all" => Ok(Self::All),
            _ => Err(Error::InvalidOption {
                option: "loss-scale",
                message: format!("must be `default`, `last_round` or `all`, not `{text}`"),
            }),
        }
    }
}

impl LossScale {
    /// The factor on the loss of an answer's tokens, 0 if it is not trained on.
    fn weight(self, said: Said, is_last_round: bool) -> f32 {
        let trains = said.train.unwrap_or(match self {
            Self::Default | Self::All => true,
            Self::LastRound => is_last_round,
        });
        if trains { said.loss_scale.unwrap_or(1.0) as f32 } else { 0.0 }
    }

    /// The factor on the loss of everything but answers.
    fn elsewhere(self) -> f32 {
        if self == Self::All { 1.0 } else { 0.0 }
    }
}

/// What a message says of being trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Said {
    train: Option<bool>,
    loss_scale: Option<f64>,
}

/// Why a row cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}{detail}", if detail.is_empty() { "" } else { ": " })]
pub struct Unfit {
    /// Common to all such rows; they are counted by it.
    pub reason: String,
    /// What it is in this row; may be empty.
    pub detail: String,
}

impl Unfit {
    pub(crate) fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::new("the row cannot be tokenised", error.to_string())
    }
}

impl Template {
    /// A template by name; without one, the model's own chat template.
    ///
    /// # Errors
    /// The name is unknown, or the model's own chat template is wanted and there is none or it is not valid.
    pub fn new(name: Option<&str>, tokenizer: &Tokenizer, options: TemplateOptions) -> Result<Self> {
        let name = name.unwrap_or(JINJA);
        let kind = if name == JINJA {
            let source =
                tokenizer.chat_template().ok_or_else(|| Error::TemplateMissing { known: table::names() })?;
            Kind::Jinja(JinjaTemplate::new(source, tokenizer, &options)?)
        } else {
            let unknown = || Error::TemplateUnknown { name: name.into(), known: Self::names() };
            Kind::Table(Box::new(TableTemplate::new(name, tokenizer)?.ok_or_else(unknown)?))
        };
        Ok(Self { name: name.into(), kind, options, tokenizer: tokenizer.clone() })
    }

    /// All names that [`Template::new`] knows.
    pub fn names() -> Vec<String> {
        let mut names = table::names();
        names.push(JINJA.into());
        names
    }

    /// The template's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tokeniser.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Digest of everything that tokens depend on: the template, its options, and the tokeniser.
    pub fn digest(&self) -> String {
        let options = TemplateOptions {
            now: self
                .options
                .now
                .filter(|_| matches!(&self.kind, Kind::Jinja(jinja) if jinja.asks_for_the_time())),
            ..self.options.clone()
        };
        let definition = match &self.kind {
            Kind::Table(table) => format!("{table:?}"),
            Kind::Jinja(jinja) => jinja.source().to_owned(),
        };
        let options = format!("{options:?}");
        digest([
            self.name.as_bytes(),
            definition.as_bytes(),
            options.as_bytes(),
            self.tokenizer.digest().as_bytes(),
        ])
    }

    /// Tokens of a whole conversation, with what is trained on.
    ///
    /// Neighbouring pieces that are both trained on, or both not, are joined before they are tokenised; a border between
    /// the two is always a border between tokens.
    ///
    /// # Errors
    /// Why the conversation cannot be used.
    pub fn encode(&self, messages: &[Message], loss_scale: LossScale) -> Result<Encoded, Unfit> {
        let conversation = Conversation::new(messages)?;
        if !conversation.ends_with_answer() {
            return Err(Unfit::new("the conversation does not end with an answer", ""));
        }
        Ok(match &self.kind {
            Kind::Table(table) => {
                let pieces = table.pieces(conversation, Some(loss_scale), &self.options);
                tokenize(&self.tokenizer, pieces, table.suffix_ids())?
            }
            Kind::Jinja(jinja) => tokenize(&self.tokenizer, jinja.pieces(&conversation, loss_scale)?, &[])?,
        })
    }

    /// Tokens of a text that is judged as a whole, with nothing trained on: a conversation, or a question alone, as a prompt.
    ///
    /// # Errors
    /// Why the conversation cannot be used.
    pub fn encode_text(&self, messages: &[Message]) -> Result<Encoded, Unfit> {
        let input_ids = match Conversation::new(messages)?.ends_with_answer() {
            true => self.encode(messages, LossScale::Default)?.input_ids,
            false => self.encode_prompt(messages)?,
        };
        let weights = vec![0.0; input_ids.len()];
        Ok(Encoded { input_ids, weights })
    }

    /// Tokens of a conversation up to where the next answer begins.
    ///
    /// # Errors
    /// Why the conversation cannot be used.
    pub fn encode_prompt(&self, messages: &[Message]) -> Result<Vec<u32>, Unfit> {
        let conversation = Conversation::new(messages)?;
        Ok(match &self.kind {
            Kind::Table(table) => {
                let pieces = table.pieces(conversation, None, &self.options);
                tokenize(&self.tokenizer, pieces, &[])?.input_ids
            }
            Kind::Jinja(jinja) => self.tokenizer.encode(&jinja.prompt(&conversation)?)?,
        })
    }
}
