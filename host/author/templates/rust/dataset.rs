//! Describe the rows that your adapter reads.

use swift_plugin::prelude::*;

parameters! {
    /// Rows of a `problem` and its `proof`.
    pub struct PluginName {}
}

impl Dataset for PluginName {
    fn matches(&self, columns: &[String]) -> u32 {
        let has = |name: &str| columns.iter().any(|column| column == name);
        if has("problem") && has("proof") { 100 } else { 0 }
    }

    fn convert(&self, row: &Row) -> Result<Sample> {
        let text = |name: &str| match row.get(name).and_then(Value::as_str) {
            Some(text) => Ok(text.to_owned()),
            None => bail!("`{name}` is no text"),
        };
        let question = Message::new("user", text("problem")?);
        let answer = Message::new("assistant", text("proof")?);
        Ok(Sample::new(vec![question, answer]))
    }
}

export!(PluginName: Dataset);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use swift_plugin::testing::convert;

    #[test]
    fn a_row_becomes_a_question_and_an_answer() {
        let outcome = convert(&PluginName {}, json!({ "problem": "1 + 1", "proof": "2" })).unwrap();
        let messages = vec![Message::new("user", "1 + 1"), Message::new("assistant", "2")];
        assert_eq!(outcome, Outcome::Sample(Sample::new(messages)));
    }

    #[test]
    fn a_row_without_text_is_left_out() {
        let outcome = convert(&PluginName {}, json!({ "problem": "1 + 1", "proof": 2 })).unwrap();
        assert_eq!(outcome, Outcome::Skipped("`proof` is no text".to_owned()));
    }
}
