//! Plugins that turn conversations into text, and those that weigh the words of answers.

use serde_json::Value;

use crate::{Message, Parameters, Result};

pub use crate::bindings::template::{
    Answer, Call, Content, Options as RenderOptions, Piece, Rendered, Training,
};

/// A set of chat templates.
pub trait Template: Parameters {
    /// The templates by name.
    fn names(&self) -> Vec<String>;

    /// Renders a conversation with one of the templates. `tools` is a list of tools, if there are any.
    ///
    /// # Errors
    /// Why the row is left out; the host counts the rows by reason and shows the first. The run goes on.
    fn render(
        &self,
        name: &str,
        messages: &[Message],
        tools: Option<&Value>,
        options: &RenderOptions,
    ) -> Result<Rendered>;

    /// The ways to describe and to call tools, by name; by default there is none but the templates' own.
    fn agent_templates(&self) -> Vec<String> {
        Vec::new()
    }

    /// Takes apart what a model answers, with tools called in the way `agent_template`, or in the template's own. By default
    /// no answer calls a tool.
    ///
    /// # Errors
    /// If there is no such template.
    fn read_calls(&self, _name: &str, _agent_template: Option<&str>, answer: &str) -> Result<Answer> {
        Ok(Answer { text: answer.to_owned(), calls: Vec::new() })
    }
}

/// A rule for loss weights.
pub trait LossScale: Parameters {
    /// Cuts an answer into parts, each with the factor on the loss of its tokens. The parts together are the answer.
    ///
    /// # Errors
    /// Whatever keeps the answer from being weighed; the run ends with it.
    fn weigh(&self, answer: &str, question: Option<&str>) -> Result<Vec<(String, f64)>>;
}

impl Default for RenderOptions {
    /// All answers are trained on, in the template's own way, on the first day of 2024.
    fn default() -> Self {
        Self {
            training: Training::Answers,
            system: None,
            enable_thinking: None,
            preserve_thinking: None,
            add_non_thinking_prefix: true,
            response_prefix: None,
            agent_template: None,
            date: "2024-01-01".to_owned(),
            special_tokens: Vec::new(),
        }
    }
}

impl Piece {
    /// A text that is not trained on.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: Content::Text(text.into()), weight: 0.0, answer_to: None }
    }
}
