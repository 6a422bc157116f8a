//! Models that judge the steps of a solution: a token stands where the judgement is read, by default at the end.

use swift_plugin::{RenderOptions, Result};

use crate::conversation::{Conversation, Turn};

const STEP: &str = "<extra_0>";

pub(super) fn prepare(conversation: &mut Conversation, _options: &RenderOptions) -> Result<()> {
    let last = match conversation.turns.last_mut() {
        Some(Turn::User(text)) => Some(text),
        Some(Turn::Assistant(answers)) => answers.last_mut().map(|answer| &mut answer.text),
        _ => None,
    };
    if let Some(text) = last.filter(|text| !text.contains(STEP)) {
        text.push_str(STEP);
    }
    Ok(())
}
