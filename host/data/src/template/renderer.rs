//! What template plugins and rules for loss weights do for the host.

use serde_json::{Map, Value};

use super::{Rendered, TemplateOptions, TrainedParts, Unfit};
use crate::error::AdapterFailure;
use crate::rows::Message;
use crate::tokenizer::Tokenizer;

/// How a template plugin is to render.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderOptions {
    /// What is trained on.
    pub training: TrainedParts,
    /// The system text for conversations without one; none for the template's own.
    pub system: Option<String>,
    /// Whether the model shall think before it answers; none for the template's own way.
    pub enable_thinking: Option<bool>,
    /// Whether thoughts of earlier answers are kept; none for the template's own way.
    pub preserve_thinking: Option<bool>,
    /// Whether answers without thoughts get the template's sign for that.
    pub add_non_thinking_prefix: bool,
    /// What a prompt ends with, as the beginning of the answer; none for the template's own.
    pub response_prefix: Option<String>,
    /// How tools are described and called; none for the template's own way.
    pub agent_template: Option<String>,
    /// The day that templates with a date in them name: `2025-03-14`.
    pub date: String,
    /// Words that the tokeniser has for a purpose, by their name: `eos_token`, `bos_token`.
    pub special_tokens: Vec<(String, String)>,
}

impl RenderOptions {
    /// What the user says, with the words of `tokenizer`. Of `chat_template_kwargs` that is what [`Self::set`] knows.
    pub fn new(options: &TemplateOptions, tokenizer: &Tokenizer, training: TrainedParts) -> Self {
        let TemplateOptions {
            system,
            enable_thinking,
            preserve_thinking,
            response_prefix,
            agent_template,
            ..
        } = options.clone();
        let special_tokens = tokenizer.special_tokens();
        let mut given = Self {
            training,
            system,
            enable_thinking,
            preserve_thinking,
            add_non_thinking_prefix: options.add_non_thinking_prefix,
            response_prefix,
            agent_template,
            date: options.now.unwrap_or_default().date().to_string(),
            special_tokens: special_tokens.map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
        };
        // A template refuses what is not known before it is asked to render.
        let _ = given.set(&options.chat_template_kwargs);
        given
    }

    /// Takes over what templates by name know of `chat_template_kwargs`: `enable_thinking`, `preserve_thinking` and
    /// `response_prefix`, as ms-swift does.
    ///
    /// # Errors
    /// What else there is, or is not of the right kind.
    pub fn set(&mut self, chat_template_kwargs: &Map<String, Value>) -> Result<(), String> {
        for (name, value) in chat_template_kwargs {
            match (name.as_str(), value) {
                ("enable_thinking", Value::Bool(value)) => self.enable_thinking = Some(*value),
                ("preserve_thinking", Value::Bool(value)) => self.preserve_thinking = Some(*value),
                ("response_prefix", Value::String(value)) => self.response_prefix = Some(value.clone()),
                _ => return Err(format!("has `{name}` as `{value}`, which templates by name do not know")),
            }
        }
        Ok(())
    }
}

/// A set of chat templates. Implemented over template plugins.
pub trait Renderer: Send {
    /// Its name, for messages.
    fn name(&self) -> &str;

    /// What identifies its behaviour: the digest of the plugin file. Part of the key of the token cache.
    fn digest(&self) -> &str;

    /// The templates by name.
    ///
    /// # Errors
    /// The plugin failed.
    fn names(&mut self) -> Result<Vec<String>, AdapterFailure>;

    /// Renders a conversation with one of the templates; the inner error says why the row is left out.
    ///
    /// # Errors
    /// The plugin failed.
    fn render(
        &mut self,
        name: &str,
        messages: &[Message],
        tools: Option<&Value>,
        options: &RenderOptions,
    ) -> Result<Result<Rendered, Unfit>, AdapterFailure>;
}

/// A rule for loss weights. Implemented over plugins.
pub trait Weigher: Send {
    /// Its name, for messages.
    fn name(&self) -> &str;

    /// What identifies its behaviour: the digest of the plugin file, and its hyper-parameters.
    fn digest(&self) -> &str;

    /// Cuts an answer into parts, each with the factor on the loss of its tokens. The parts together are the answer.
    ///
    /// # Errors
    /// The plugin failed.
    fn weigh(&mut self, answer: &str, question: Option<&str>) -> Result<Vec<(String, f64)>, AdapterFailure>;
}
