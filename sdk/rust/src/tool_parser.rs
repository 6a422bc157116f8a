//! Plugins that find calls of tools in answers.

use serde_json::Value;

use crate::{Answer, Parameters, Result};

/// Finds calls of tools in what a model answers.
pub trait ToolParser: Parameters {
    /// Takes apart an answer that is `finished`, or as far as it goes now: then only what no later word can change. What is given
    /// for a longer part of an answer begins with what was given for a shorter one, and depends on nothing else. `tools` are
    /// the tools that may be called, a list. The arguments of a call are a JSON object.
    ///
    /// # Errors
    /// Whatever keeps the answer from being read; the request ends with it. An answer that calls nothing, or not as it should, is
    /// text and no error.
    fn parse(&self, answer: &str, finished: bool, tools: &Value) -> Result<Answer>;
}

impl Answer {
    /// An answer that calls nothing.
    pub fn of_text(text: impl Into<String>) -> Self {
        Self { text: text.into(), calls: Vec::new() }
    }
}
