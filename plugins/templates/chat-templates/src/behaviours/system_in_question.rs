//! Gemma 3: the system text stands before the first question, and answers begin with a letter.

use swift_plugin::{RenderOptions, Result};

use crate::conversation::{Conversation, Turn};

pub(super) fn prepare(conversation: &mut Conversation, _options: &RenderOptions) -> Result<()> {
    if let Some(system) = conversation.system.take()
        && let Some(question) = conversation.first_question()
    {
        question.insert_str(0, &format!("{system}\n\n"));
    }
    for turn in &mut conversation.turns {
        if let Turn::Assistant(answers) = turn
            && let Some(answer) = answers.first_mut()
        {
            answer.text = answer.text.trim_start().to_owned();
        }
    }
    Ok(())
}
