//! How tools are described to a model, how it calls them, and how it learns what they gave back: `agents/agents.json`.
//!
//! An agent template is a set of texts with places. An entry that is `like` another has the other's fields where it has
//! none of its own. The values are those of the agent templates of the same name in ms-swift 4.6.0.

mod calls;
mod declaration;
mod elements;
mod parse;
mod pattern;
mod prompt;
mod results;
mod tools;

use serde::Deserialize;
use swift_plugin::Result;

use crate::table::{Table, find, names_of, read};

pub(crate) use calls::Call;
pub(crate) use results::Results;

/// An agent template.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Agent {
    /// What tells the model of its tools: `{{TOOLS}}` and the `{{NAMES}}` of all.
    prompt: String,
    /// One of the tools; `agents/tools.rs` has its places.
    tool: String,
    /// Between two tools.
    tool_separator: String,
    /// The system text of a conversation that has one: `{{SYSTEM}}` and the `{{PROMPT}}`.
    with_system: String,
    /// The system text of a conversation that has none.
    without_system: String,
    /// The first question, for formats that describe the tools there: `{{PROMPT}}` and `{{QUERY}}`.
    question: Option<String>,

    /// One call: `{{name}}`, its place among the calls as `{{index}}` or `{{number}}` (from 0 or 1), and either all
    /// `{{ARGUMENTS}}`, each as `argument` says, or one object: `{{arguments}}` in JSON, `{{arguments_repr}}` as Python
    /// shows it, its `{{members_declaration}}` as Gemma writes them.
    call: String,
    /// One argument: `{{key}}`, `{{value}}`, its JSON `{{type}}`, whether it `{{is_string}}`, and `{{value_elements}}` with an
    /// element for each member.
    argument: String,
    /// Between two calls.
    call_separator: String,
    /// Before the first call.
    before_calls: String,
    /// After the last call.
    after_calls: String,
    /// Whether values that are read back are JSON where they can be; otherwise they are text.
    typed_values: bool,
    /// Whether the text before calls loses the white space at its end.
    trim_text: bool,
    /// Between a text and the calls after it.
    gap: String,
    /// Whether there is no gap where the text ends with it.
    gap_once: bool,
    /// Before calls with no text before them.
    gap_without_text: String,

    /// What one tool gave back: `{{result}}`, or as JSON text `{{result_json}}`, and what a call says of itself.
    result: String,
    /// Between two results.
    result_separator: String,
    /// Before the first result.
    before_results: String,
    /// After the last result.
    after_results: String,
    /// Whose turn the results are, if they stand where a question would; otherwise they stand in the answer.
    results_role: Option<String>,
}

impl Default for Agent {
    fn default() -> Self {
        let empty = String::new;
        Self {
            prompt: empty(),
            tool: empty(),
            tool_separator: "\n".to_owned(),
            with_system: "{{PROMPT}}".to_owned(),
            without_system: "{{PROMPT}}".to_owned(),
            question: None,
            call: empty(),
            argument: empty(),
            call_separator: empty(),
            before_calls: empty(),
            after_calls: empty(),
            typed_values: false,
            trim_text: false,
            gap: empty(),
            gap_once: false,
            gap_without_text: empty(),
            result: empty(),
            result_separator: empty(),
            before_results: empty(),
            after_results: empty(),
            results_role: None,
        }
    }
}

static AGENTS: Table<Agent> = Table::new(|| read(include_str!("agents/agents.json")));

/// The names of all agent templates.
pub(crate) fn names() -> Vec<String> {
    names_of(&AGENTS)
}

impl Agent {
    /// The agent template of a name.
    pub(crate) fn find(name: &str) -> Result<&'static Self> {
        find(&AGENTS, "agent template", name)
    }
}

#[cfg(test)]
mod tests;
