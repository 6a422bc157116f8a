//! Rows of a question and an answer: Alpaca's `instruction`, `input` and `output`, and the many other names for the same.

use swift_plugin::conversation::{self, QUERY_COLUMNS, RESPONSE_COLUMNS, column, text};
use swift_plugin::prelude::*;

parameters! {
    /// Rows of a question and an answer: `instruction` and `output`, `query` and `response`, and other names for them.
    pub struct Alpaca {}
}

impl Dataset for Alpaca {
    fn matches(&self, columns: &[String]) -> u32 {
        let has = |names: &[&str]| {
            columns.iter().any(|column| names.iter().any(|name| name.eq_ignore_ascii_case(column)))
        };
        match (has(QUERY_COLUMNS), has(RESPONSE_COLUMNS)) {
            (true, true) => 40,
            // Plain text: an answer to nothing.
            (false, true) => 20,
            (_, false) => 0,
        }
    }

    fn convert(&self, row: &Row) -> Result<Sample> {
        let mut messages = conversation::prompt(row)?;
        let Some(answer) = column(row, RESPONSE_COLUMNS)? else { bail!("the row has no answer") };
        messages.push(Message::new("assistant", text("the answer", answer)?));
        conversation::sample(row, messages)
    }
}

export!(Alpaca: Dataset);

#[cfg(test)]
mod tests;
