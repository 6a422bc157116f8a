//! The table of templates: `templates.json`.
//!
//! A conversation is `prefix` (or `system_prefix` when there is a system text), then for every round `prompt`, the answer,
//! and `chat_sep`, or `suffix` after the last answer. `{{SYSTEM}}`, `{{QUERY}}`, `{{ROUND0}}` and `{{ROUND1}}` (the round,
//! from 0 or 1) are filled in, and of the day `{{DATE}}`, `{{DAY}}`, `{{MONTH_NAME}}` and `{{YEAR}}`; `{{bos_token_id}}` and
//! `{{id:195}}` are tokens. An entry that is `like` another has the other's fields where it has none of its own; a field is
//! taken back by `null`.
//!
//! The values are those of the templates of the same name in ms-swift 4.6.0.

use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use swift_plugin::{Error, Result};

/// A template.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Entry {
    /// What a conversation without a system text begins with.
    pub(crate) prefix: String,
    /// What one with a system text begins with; without it, the template has no place for one.
    pub(crate) system_prefix: Option<String>,
    /// Before an answer.
    pub(crate) prompt: String,
    /// Before the last answer, where the system text stands there.
    pub(crate) system_prompt: Option<String>,
    /// After an answer with another round behind it; without it, the last round stands alone.
    pub(crate) chat_sep: Option<String>,
    /// After the last answer.
    pub(crate) suffix: String,
    /// The system text of conversations without one.
    pub(crate) default_system: Option<String>,
    /// Whether the tokens come first that the tokeniser puts before a text by itself.
    pub(crate) add_bos: bool,
    /// What ends an answer besides the suffix and the tokeniser's end token. No suffix follows an answer that ends with it.
    pub(crate) stop_words: Vec<String>,
    /// How tools are described and called.
    pub(crate) agent_template: Option<String>,
    /// How the system text stands if no tools are described in it: `{{SYSTEM}}`.
    pub(crate) bare_system: Option<String>,
    /// Whether an empty system text is one all the same.
    pub(crate) keeps_empty_system: bool,
    /// Whether questions and answers lose the white space around them.
    pub(crate) trims_messages: bool,
    /// What a prompt ends with, whatever the model shall do.
    pub(crate) response_prefix: String,

    /// Whether the model thinks, so that what earlier answers thought is left out of prompts.
    pub(crate) is_thinking: bool,
    /// Whether it shall think, where nobody says; by default if there is no other way.
    pub(crate) enable_thinking: Option<bool>,
    /// What a prompt ends with when the model shall think.
    pub(crate) thinking_prefix: String,
    /// What a prompt ends with when it shall not, and what answers without thoughts begin with.
    pub(crate) non_thinking_prefix: String,
    /// Which answers without thoughts begin with it.
    pub(crate) non_thinking_answers: NonThinking,
    /// What stands for the thoughts that are left out.
    pub(crate) history_thinking_prefix: String,
    /// Whether thoughts of earlier answers are kept.
    pub(crate) preserve_thinking: Option<bool>,
    /// What answers with thoughts begin with.
    pub(crate) thinking_starts: Vec<String>,
    /// What is between the thoughts and the rest.
    pub(crate) thinking_end: String,
    /// What ends the rest, and is left out with the thoughts.
    pub(crate) answer_end: String,
    /// What stands at `{{THINKING}}` of a prefix when the model shall think.
    pub(crate) thinking_mark: String,
    /// What stands there when it shall not.
    pub(crate) non_thinking_mark: String,
    /// The system text when the model shall think: `{{SYSTEM}}`.
    pub(crate) thinking_system: Option<String>,
    /// The same for a conversation without one.
    pub(crate) thinking_system_alone: Option<String>,

    /// What cannot be said by the fields above; see `behaviours.rs`.
    pub(crate) behaviours: Vec<String>,
}

/// Which answers without thoughts get the sign for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NonThinking {
    /// All of them.
    #[default]
    All,
    /// Those that answer a question; an answer after results of tools goes on.
    Opening,
    /// The last one.
    Last,
}

impl Default for Entry {
    fn default() -> Self {
        let empty = String::new;
        Self {
            prefix: empty(),
            system_prefix: None,
            prompt: empty(),
            system_prompt: None,
            chat_sep: None,
            suffix: empty(),
            default_system: None,
            add_bos: false,
            stop_words: Vec::new(),
            agent_template: None,
            bare_system: None,
            keeps_empty_system: false,
            trims_messages: false,
            response_prefix: empty(),
            is_thinking: false,
            enable_thinking: None,
            thinking_prefix: empty(),
            non_thinking_prefix: empty(),
            non_thinking_answers: NonThinking::All,
            history_thinking_prefix: empty(),
            preserve_thinking: None,
            thinking_starts: vec!["<think>".to_owned()],
            thinking_end: "</think>".to_owned(),
            answer_end: empty(),
            thinking_mark: empty(),
            non_thinking_mark: empty(),
            thinking_system: None,
            thinking_system_alone: None,
            behaviours: Vec::new(),
        }
    }
}

static TEMPLATES: Table<Entry> = Table::new(|| read(include_str!("templates.json")));

/// Entries by name, in the order of their file, read when they are first needed.
pub(crate) type Table<T> = LazyLock<Result<Vec<(String, T)>>>;

/// Reads a table, completing entries by those that they are `like`.
pub(crate) fn read<T: DeserializeOwned>(table: &str) -> Result<Vec<(String, T)>> {
    let entries: Map<String, Value> = serde_json::from_str(table)?;
    let fields_of = |name: &str| {
        let entry = entries.get(name).and_then(Value::as_object);
        entry.ok_or_else(|| Error::new(format!("there is no entry `{name}`")))
    };
    let complete = |name: &String| {
        let mut fields = fields_of(name)?.clone();
        while let Some(other) = fields.remove("like") {
            for (field, value) in fields_of(other.as_str().unwrap_or_default())? {
                fields.entry(field).or_insert_with(|| value.clone());
            }
        }
        fields.retain(|_, value| !value.is_null());
        Ok((name.clone(), serde_json::from_value(Value::Object(fields))?))
    };
    entries.keys().map(complete).collect()
}

/// The names of a table's entries.
pub(crate) fn names_of<T>(table: &'static Table<T>) -> Vec<String> {
    table.iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// An entry of a table. `kind` is what messages call it.
pub(crate) fn find<T>(table: &'static Table<T>, kind: &str, name: &str) -> Result<&'static T> {
    let entries = table.as_ref().map_err(Clone::clone)?;
    let entry = entries.iter().find(|(known, _)| known == name);
    entry.map(|(_, entry)| entry).ok_or_else(|| Error::new(format!("there is no {kind} `{name}`")))
}

/// The names of all templates.
pub(crate) fn names() -> Vec<String> {
    names_of(&TEMPLATES)
}

impl Entry {
    /// The template of a name.
    pub(crate) fn find(name: &str) -> Result<&'static Self> {
        find(&TEMPLATES, "template", name)
    }

    /// Whether there is a place for a system text.
    pub(crate) fn has_system(&self) -> bool {
        self.system_prefix.is_some() || self.system_prompt.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_valid() {
        for name in names() {
            let entry = Entry::find(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(entry.prompt.contains("{{QUERY}}"), "{name}");
        }
    }

    #[test]
    fn an_entry_takes_the_fields_of_the_one_that_it_is_like() {
        let [base, other] = ["qwen", "qwen2_5"].map(|name| Entry::find(name).unwrap());
        assert_eq!(base.prompt, other.prompt);
        assert_ne!(base.default_system, other.default_system);
        assert!(Entry::find("qwen9").unwrap_err().message().contains("no template `qwen9`"));
    }
}
