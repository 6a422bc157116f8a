//! Texts to embed: the instruction stands before the first text, with a space between.

use swift_plugin::{RenderOptions, Result};

use crate::conversation::Conversation;

pub(super) fn prepare(conversation: &mut Conversation, _options: &RenderOptions) -> Result<()> {
    if let Some(system) = conversation.system.take()
        && let Some(question) = conversation.first_question()
    {
        question.insert_str(0, &format!("{system} "));
    }
    Ok(())
}
