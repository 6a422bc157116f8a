//! Rows of a chosen and a rejected answer, as texts or as messages, with the question in a column or in the messages.

use swift_plugin::conversation::{self, Columns, text};
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
        let mut columns = Columns::new(row);
        let prompt = conversation::prompt(&mut columns)?;
        let mut answer = |names: &[&str], messages: fn(&mut Columns, &Value) -> Result<Vec<Message>>| {
            let name = names.first().copied().unwrap_or_default();
            match columns.take(names)? {
                None => bail!("`{name}` is empty"),
                Some(list @ Value::Array(_)) => whole(&prompt, messages(&mut columns, &list)?),
                Some(answer) => {
                    whole(&prompt, vec![Message::new("assistant", text(&format!("`{name}`"), &answer)?)])
                }
            }
        };
        let chosen = answer(CHOSEN, conversation::messages)?;
        let rejected = answer(REJECTED, conversation::rejected_messages)?;
        conversation::preference(columns, chosen, rejected)
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
