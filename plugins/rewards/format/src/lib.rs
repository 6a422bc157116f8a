//! The reward for answers of the form `<think>…</think><answer>…</answer>` (DeepSeek-AI 2025, "DeepSeek-R1", section 2.2.2),
//! as ms-swift's `format` gives it.

use swift_plugin::prelude::*;

parameters! {
    /// 1 for answers of the form `<think>…</think><answer>…</answer>` and nothing else, 0 for others.
    pub struct Format {}
}

impl Reward for Format {
    fn score(&self, completion: &Completion) -> Result<Option<f64>> {
        Ok(Some(f64::from(u8::from(has_form(&completion.text)))))
    }
}

/// Whether a text is a thought, maybe white space, and an answer. As in the expression
/// `^<think>.*?</think>\s*<answer>.*?</answer>$`, either part may hold anything.
fn has_form(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("<think>") else { return false };
    let mut ends = rest.match_indices("</think>").map(|(at, end)| &rest[at + end.len()..]);
    ends.any(|after| {
        let answer = after.trim_start().strip_prefix("<answer>");
        answer.is_some_and(|answer| answer.ends_with("</answer>"))
    })
}

export!(Format: Reward);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thought_and_an_answer_have_the_form() {
        for (text, expected) in [
            ("<think>a</think><answer>b</answer>", 1.0),
            ("<think>\nline\n</think>\n\n<answer>\nb\n</answer>", 1.0),
            ("<think></think> then </think><answer></answer>", 1.0),
            ("<think>a</think> so <answer>b</answer>", 0.0),
            ("<think>a</think><answer>b</answer> ", 0.0),
            (" <think>a</think><answer>b</answer>", 0.0),
            ("<think>a<answer>b</answer>", 0.0),
            ("b", 0.0),
        ] {
            assert_eq!(Format {}.score(&Completion::new(text)).unwrap(), Some(expected), "{text}");
        }
    }
}
