//! Rows of chat messages: OpenAI's and Anthropic's `messages`, ShareGPT's `conversations`.

use swift_plugin::conversation::{self, CONVERSATION_COLUMNS, Columns};
use swift_plugin::prelude::*;

parameters! {
    /// Rows of chat messages: `messages`, `conversations`.
    pub struct Messages {}
}

impl Dataset for Messages {
    fn matches(&self, columns: &[String]) -> u32 {
        if columns.iter().any(|column| CONVERSATION_COLUMNS.contains(&column.as_str())) { 80 } else { 0 }
    }

    fn convert(&self, row: &Row) -> Result<Sample> {
        let mut columns = Columns::new(row);
        let Some(list) = columns.take(CONVERSATION_COLUMNS)? else { bail!("the row has no `messages`") };
        let messages = conversation::messages(&mut columns, &list)?;
        conversation::sample(columns, messages)
    }
}

export!(Messages: Dataset);

#[cfg(test)]
mod tests;
