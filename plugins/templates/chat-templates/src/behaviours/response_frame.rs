//! ERNIE 4.5 Thinking: what follows the thoughts stands in a frame.

use swift_plugin::{RenderOptions, Result, bail};

use crate::conversation::{Conversation, Turn};

const THINKING_END: &str = "</think>";

pub(super) fn prepare(conversation: &mut Conversation, _options: &RenderOptions) -> Result<()> {
    for turn in &mut conversation.turns {
        let Turn::Assistant(answers) = turn else { continue };
        let [answer] = answers.as_mut_slice() else {
            bail!("the template has no place for answers in several parts");
        };
        answer.text = match answer.text.split_once(THINKING_END) {
            Some((thoughts, rest)) => {
                format!("{thoughts}{THINKING_END}\n\n<response>\n{rest}\n</response>")
            }
            None => format!("<response>\n{}\n</response>\n", answer.text),
        };
    }
    Ok(())
}
