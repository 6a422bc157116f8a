use crate::rows::Message;
use crate::template::Unfit;
use crate::template::options::Said;

/// A conversation in which users and assistants take turns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conversation {
    /// The text of a leading system message.
    pub(super) system: Option<String>,
    pub(super) turns: Vec<Turn>,
}

/// What one side said before the other spoke.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Turn {
    User(String),
    /// Consecutive answers stay apart, for each may say whether it is trained on.
    Assistant(Vec<Answer>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) said: Said,
}

impl Conversation {
    pub(super) fn new(messages: &[Message]) -> Result<Self, Unfit> {
        let (system, rest) = match messages.split_first() {
            Some((first, rest)) if first.role == "system" => (Some(first.content.clone()), rest),
            _ => (None, messages),
        };
        let mut turns: Vec<Turn> = Vec::new();
        for Message { role, content, train, loss_scale } in rest {
            let said = Said { train: *train, loss_scale: *loss_scale };
            let answer = || Answer { text: content.clone(), said };
            match (role.as_str(), turns.last_mut()) {
                ("user", Some(Turn::User(text))) => text.push_str(content),
                ("user", _) => turns.push(Turn::User(content.clone())),
                ("assistant", Some(Turn::Assistant(answers))) => answers.push(answer()),
                ("assistant", _) => turns.push(Turn::Assistant(vec![answer()])),
                ("tool" | "tool_call" | "tool_response", _) => {
                    return Err(Unfit::new(
                        "the conversation has tool calls, which the model's own chat template is not given",
                        role,
                    ));
                }
                ("system", _) => {
                    return Err(Unfit::new("a `system` message is not the first message", ""));
                }
                _ => return Err(Unfit::new("a message has an unknown role", format!("`{role}`"))),
            }
        }
        if turns.is_empty() {
            return Err(Unfit::new("the conversation has no messages", ""));
        }
        Ok(Self { system, turns })
    }

    pub(super) fn ends_with_answer(&self) -> bool {
        matches!(self.turns.last(), Some(Turn::Assistant(_)))
    }
}
