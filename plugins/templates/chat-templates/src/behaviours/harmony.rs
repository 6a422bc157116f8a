//! gpt-oss: an answer names its channel. One in several parts, with calls of tools, is left as it is.

use swift_plugin::{RenderOptions, Result};

use crate::conversation::{Conversation, Turn};

const CHANNEL: &str = "<|channel|>";
const FINAL: &str = "<|channel|>final<|message|>";

pub(super) fn prepare(conversation: &mut Conversation, _options: &RenderOptions) -> Result<()> {
    for turn in &mut conversation.turns {
        if let Turn::Assistant(answers) = turn
            && let [answer] = answers.as_mut_slice()
            && !answer.text.starts_with(CHANNEL)
        {
            answer.text.insert_str(0, FINAL);
        }
    }
    Ok(())
}
