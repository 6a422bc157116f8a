use crate::rows::Message;
use crate::template::{Said, Unfit};

/// Where thoughts end in an answer.
const THINKING_END: &str = "</think>";
/// Where they begin.
const THINKING_START: &str = "<think>";

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
                        "the conversation has tool calls, which templates cannot render yet",
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

    /// Puts `prefix` before answers from the last question on, or before all, if they don't begin with thoughts.
    pub(super) fn add_non_thinking_prefix(&mut self, prefix: &str, last_round_only: bool) {
        let start = if last_round_only { self.last_question() } else { 0 };
        for answer in self.first_answers().skip_while(|(turn, _)| *turn < start).map(|(_, answer)| answer) {
            if !answer.text.starts_with(THINKING_START) && !answer.text.starts_with(prefix) {
                answer.text.insert_str(0, prefix);
            }
        }
    }

    /// Leaves of answers before the last question what follows their thoughts, without surrounding white space.
    pub(super) fn remove_history_thinking(&mut self) {
        let end = self.last_question();
        for answer in self.first_answers().take_while(|(turn, _)| *turn < end).map(|(_, answer)| answer) {
            let text = answer.text.rsplit(THINKING_END).next().unwrap_or_default();
            answer.text = text.trim().to_owned();
        }
    }

    /// Index of the last user turn; 0 if there is none.
    fn last_question(&self) -> usize {
        self.turns.iter().rposition(|turn| matches!(turn, Turn::User(_))).unwrap_or(0)
    }

    /// The first answer of each assistant turn, with the turn's index.
    fn first_answers(&mut self) -> impl Iterator<Item = (usize, &mut Answer)> {
        self.turns.iter_mut().enumerate().filter_map(|(index, turn)| match turn {
            Turn::User(_) => None,
            Turn::Assistant(answers) => Some((index, answers.first_mut()?)),
        })
    }
}
