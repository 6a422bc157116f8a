//! Rows of chat messages: OpenAI's `messages`, ShareGPT's `conversations`.

use swift_plugin::conversation;
use swift_plugin::prelude::*;

/// Columns for a conversation.
const COLUMNS: &[&str] = &["messages", "conversations", "conversation"];

parameters! {
    /// Rows of chat messages: `messages`, `conversations`.
    pub struct Messages {}
}

impl Dataset for Messages {
    fn matches(&self, columns: &[String]) -> u32 {
        if columns.iter().any(|column| COLUMNS.contains(&column.as_str())) { 80 } else { 0 }
    }

    fn convert(&self, row: &Row) -> Result<Sample> {
        let Some(list) = conversation::column(row, COLUMNS)? else { bail!("the row has no `messages`") };
        conversation::sample(row, conversation::messages(list)?)
    }
}

export!(Messages: Dataset);

#[cfg(test)]
mod tests;
