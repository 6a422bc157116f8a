//! Calls of tools that a plugin finds in answers.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use swift_runtime::{ParsedAnswer, ToolParserPlugin};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use crate::error::{ApiError, Result};
use crate::parser::Piece;

/// A plugin that finds calls of tools. All answers share it, which depends on nothing but what it is given.
#[derive(Clone)]
pub struct ToolParser {
    name: Arc<str>,
    plugin: Arc<Mutex<ToolParserPlugin>>,
}

impl ToolParser {
    /// With this plugin.
    pub fn new(plugin: ToolParserPlugin) -> Self {
        Self { name: plugin.name().into(), plugin: Arc::new(Mutex::new(plugin)) }
    }

    /// Reads an answer that may call these tools, a JSON list.
    pub(crate) fn reader(&self, tools_json: &str) -> Reader {
        let (answer, text) = (String::new(), String::new());
        Reader { parser: self.clone(), tools_json: tools_json.into(), answer, text, calls: 0 }
    }

    fn parse(&self, answer: &str, finished: bool, tools_json: &str) -> Result<ParsedAnswer> {
        let parse = || {
            let mut plugin = self.plugin.lock().unwrap_or_else(PoisonError::into_inner);
            plugin.parse(answer, finished, tools_json)
        };
        // A plugin that takes its time holds up no other connection.
        let parsed = match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => block_in_place(parse),
            _ => parse(),
        };
        parsed.map_err(|error| failed(error.to_string()))
    }
}

/// An answer that is being read.
#[derive(Clone)]
pub(crate) struct Reader {
    parser: ToolParser,
    tools_json: Arc<str>,
    answer: String,
    /// What was given out of it.
    text: String,
    calls: usize,
}

impl Reader {
    /// Adds text, and gives what is new and certain.
    ///
    /// # Errors
    /// If the plugin fails, or takes back what it gave before.
    pub(crate) fn push(&mut self, text: &str, finished: bool) -> Result<Vec<Piece>> {
        self.answer.push_str(text);
        let parsed = self.parser.parse(&self.answer, finished, &self.tools_json)?;
        let (Some(text), Some(calls)) =
            (parsed.text.strip_prefix(&self.text), parsed.calls.get(self.calls..))
        else {
            let name = &self.parser.name;
            let message = format!("The plugin `{name}` took back what it had given of an answer before");
            return Err(failed(message));
        };
        let text = (!text.is_empty()).then(|| Piece::Content(text.to_owned()));
        let call = |call: &swift_runtime::ParsedCall| Piece::Call {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        };
        let pieces = text.into_iter().chain(calls.iter().map(call)).collect();
        (self.text, self.calls) = (parsed.text, parsed.calls.len());
        Ok(pieces)
    }
}

fn failed(message: String) -> ApiError {
    tracing::error!("an answer can't be read: {message}");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}
