//! Rows of a chosen and a rejected answer, as texts or as messages, with the question in a column or in the messages.

use swift_plugin::conversation::{self, column, text};
use swift_plugin::prelude::*;

/// Columns for the better answer.
const CHOSEN: &[&str] = &["chosen", "chosen_response", "response_chosen"];
/// Columns for the worse answer.
const REJECTED: &[&str] = &["rejected", "rejected_response", "response_rejected"];

parameters! {
    /// Rows of a chosen and a rejected answer: `prompt`, `chosen`, `rejected`.
    pub struct Preference {}
}

impl Dataset for Preference {
    fn matches(&self, columns: &[String]) -> u32 {
        let has = |names: &[&str]| columns.iter().any(|column| names.contains(&column.as_str()));
        // Such files may have `messages` or `prompt` besides, which are only a part of what they hold.
        if has(CHOSEN) && has(REJECTED) { 100 } else { 0 }
    }

    fn convert(&self, row: &Row) -> Result<Sample> {
        let prompt = conversation::prompt(row)?;
        let answer = |names: &[&str]| {
            let name = names.first().copied().unwrap_or_default();
            match column(row, names)? {
                None => bail!("`{name}` is empty"),
                Some(list @ Value::Array(_)) => whole(&prompt, conversation::messages(list)?),
                Some(answer) => {
                    whole(&prompt, vec![Message::new("assistant", text(&format!("`{name}`"), answer)?)])
                }
            }
        };
        conversation::preference(row, answer(CHOSEN)?, answer(REJECTED)?)
    }
}

/// The conversation of an answer: with the prompt before it, unless its own messages begin with one.
fn whole(prompt: &[Message], answer: Vec<Message>) -> Result<Vec<Message>> {
    match answer.first() {
        Some(first) if first.role != "assistant" => Ok(answer),
        _ if prompt.is_empty() => bail!("the row has no question"),
        _ => Ok([prompt, &answer].concat()),
    }
}

export!(Preference: Dataset);

#[cfg(test)]
mod tests;
