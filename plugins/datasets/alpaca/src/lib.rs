//! Rows of a question and an answer: Alpaca's `instruction`, `input` and `output`, and the many other names for the same.

use swift_plugin::conversation::{self, Columns, QUERY_COLUMNS, RESPONSE_COLUMNS, text};
use swift_plugin::prelude::*;

/// An answer that rewards compare with as well, so it stays a column.
const SOLUTION: &str = "solution";

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
            // An answer to nothing, which is plain text; or a question without an answer, which is a prompt.
            (false, true) | (true, false) => 20,
            (false, false) => 0,
        }
    }

    fn convert(&self, row: &Row) -> Result<Sample> {
        let mut columns = Columns::new(row);
        let mut messages = conversation::prompt(&mut columns)?;
        if let Some(answer) = columns.take(RESPONSE_COLUMNS)? {
            messages.push(Message::new("assistant", text("the answer", first(&answer))?));
        }
        if let Some(solution) = row.get(SOLUTION) {
            columns.put(SOLUTION, solution.clone());
        }
        conversation::sample(columns, messages)
    }
}

/// The first of several answers that are all right.
fn first(answer: &Value) -> &Value {
    answer.as_array().and_then(|answers| answers.first()).unwrap_or(answer)
}

export!(Alpaca: Dataset);

#[cfg(test)]
mod tests;
