use crate::Result;
use crate::bindings::tool_parser::exports::swift::plugin::tool_parser as contract;
use crate::guest::Guest;
use crate::instance::Rejection;
use crate::store::Views;

pub use contract::{Answer as ParsedAnswer, Call as ParsedCall};

/// A plugin at work as a parser of tool calls.
pub struct ToolParserPlugin {
    guest: Guest<contract::Guest>,
}

impl ToolParserPlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// Takes apart an answer that is `finished`, or what is certain of one that is not. `tools_json` are the tools that may be
    /// called.
    ///
    /// # Errors
    /// If the plugin fails, crashes or takes too much, or gives arguments that are no JSON object.
    pub fn parse(&mut self, answer: &str, finished: bool, tools_json: &str) -> Result<ParsedAnswer> {
        self.guest.call(
            "parse",
            Views::default(),
            |parser, store| parser.call_parse(store, answer, finished, tools_json),
            |parsed, _| {
                let parsed = parsed.map_err(Rejection::Failed)?;
                let is_object = |call: &&ParsedCall| {
                    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&call.arguments)
                        .is_ok()
                };
                match parsed.calls.iter().find(|call| !is_object(call)) {
                    Some(call) => {
                        let message = format!("the arguments of `{}` are no JSON object", call.name);
                        Err(Rejection::Wrong(message))
                    }
                    None => Ok(parsed),
                }
            },
        )
    }
}
