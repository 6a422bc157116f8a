//! Messages as turns: what the user, the model and the tools say in between each other.

use serde_json::Value;
use swift_plugin::{Message, Result, bail};

use crate::agents::{Agent, Call};

/// A conversation in which the model answers users and tools.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conversation {
    /// The text of a leading system message.
    pub(crate) system: Option<String>,
    /// What is said, in order.
    pub(crate) turns: Vec<Turn>,
}

/// What one side says before another speaks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// The user.
    User(String),
    /// Tools, with what each gave back.
    Tools(Vec<String>),
    /// The model. Consecutive answers stay apart, for each may say whether it is trained on.
    Assistant(Vec<Answer>),
}

/// A part of what the model says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// The text, with calls of tools as the agent template writes them.
    pub(crate) text: String,
    /// The calls in it.
    pub(crate) calls: Vec<Call>,
    /// Whether to train on it; by default as the run decides.
    pub(crate) train: Option<bool>,
    /// A factor on the loss of its tokens.
    pub(crate) loss_scale: Option<f64>,
}

impl Conversation {
    /// The turns of a list of messages, with calls as `agent` writes them. `trims` takes the white space around questions
    /// and answers away.
    pub(crate) fn new(messages: &[Message], agent: Option<&Agent>, trims: bool) -> Result<Self> {
        let (system, rest) = match messages.split_first() {
            Some((first, rest)) if first.role == "system" => (Some(first.content.clone()), rest),
            _ => (None, messages),
        };
        let mut conversation = Self { system, turns: Vec::new() };
        let mut calls: Vec<Call> = Vec::new();
        let text =
            |message: &Message| if trims { message.content.trim() } else { &message.content }.to_owned();
        for (index, message) in rest.iter().enumerate() {
            match message.role.as_str() {
                "user" => conversation.user(&text(message)),
                "assistant" => conversation.answer(Answer {
                    text: text(message),
                    calls: Vec::new(),
                    train: message.train,
                    loss_scale: message.loss_scale,
                }),
                "tool_response" | "tool" => conversation.result(&message.content),
                "tool_call" => {
                    calls.push(Call::from_json(&message.content)?);
                    // Calls that follow each other are written as one answer.
                    if rest.get(index + 1).is_none_or(|next| next.role != "tool_call") {
                        conversation.call(std::mem::take(&mut calls), message, agent)?;
                    }
                }
                "system" => bail!("a `system` message is not the first message"),
                _ => bail!("a message has an unknown role"),
            }
        }
        if conversation.turns.is_empty() {
            bail!("the conversation has no messages");
        }
        Ok(conversation)
    }

    fn user(&mut self, content: &str) {
        match self.turns.last_mut() {
            Some(Turn::User(text)) => text.push_str(content),
            _ => self.turns.push(Turn::User(content.to_owned())),
        }
    }

    fn result(&mut self, content: &str) {
        match self.turns.last_mut() {
            Some(Turn::Tools(results)) => results.push(content.to_owned()),
            _ => self.turns.push(Turn::Tools(vec![content.to_owned()])),
        }
    }

    fn answer(&mut self, answer: Answer) {
        match self.turns.last_mut() {
            Some(Turn::Assistant(answers)) => answers.push(answer),
            _ => self.turns.push(Turn::Assistant(vec![answer])),
        }
    }

    fn call(&mut self, calls: Vec<Call>, message: &Message, agent: Option<&Agent>) -> Result<()> {
        let Some(agent) = agent else { bail!("the template has no way to call tools") };
        let mut text = agent.write_calls(&calls)?;
        match self.turns.last_mut() {
            Some(Turn::Assistant(answers)) => {
                answers
                    .last_mut()
                    .into_iter()
                    .for_each(|before| before.text = agent.text_before_calls(&before.text));
            }
            _ => text.insert_str(0, agent.gap_without_text()),
        }
        self.answer(Answer { text, calls, train: message.train, loss_scale: message.loss_scale });
        Ok(())
    }

    /// Index of the last turn of the user; 0 if there is none.
    pub(crate) fn last_question(&self) -> usize {
        self.turns.iter().rposition(|turn| matches!(turn, Turn::User(_))).unwrap_or(0)
    }

    /// The first answer of each turn of the model, with the turn's index.
    pub(crate) fn first_answers(&mut self) -> impl Iterator<Item = (usize, &mut Answer)> {
        self.turns.iter_mut().enumerate().filter_map(|(index, turn)| match turn {
            Turn::Assistant(answers) => Some((index, answers.first_mut()?)),
            _ => None,
        })
    }

    /// The first question, if a user asks one.
    pub(crate) fn first_question(&mut self) -> Option<&mut String> {
        self.turns.iter_mut().find_map(|turn| match turn {
            Turn::User(text) => Some(text),
            _ => None,
        })
    }

    /// Whether the model has the last word.
    pub(crate) fn ends_with_answer(&self) -> bool {
        matches!(self.turns.last(), Some(Turn::Assistant(_)))
    }
}

/// The tools of a list, each as `{"type": "function", "function": ..}`.
pub(crate) fn tools(list: &Value) -> Result<Vec<Value>> {
    let Some(tools) = list.as_array() else { bail!("`tools` is not a list") };
    let wrapped = tools.iter().map(|tool| {
        let tool = match tool {
            Value::String(text) => serde_json::from_str(text)?,
            tool => tool.clone(),
        };
        Ok(match tool.get("type").is_some() && tool.get("function").is_some() {
            true => tool,
            false => serde_json::json!({"type": "function", "function": tool}),
        })
    });
    wrapped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn conversation(turns: &[(&str, &str)]) -> Result<Conversation> {
        let messages: Vec<Message> =
            turns.iter().map(|(role, content)| Message::new(*role, *content)).collect();
        Conversation::new(&messages, Some(Agent::find("hermes")?), false)
    }

    #[test]
    fn what_one_side_says_is_one_turn() {
        let call = r#"{"name": "f", "arguments": "{\"x\": 1}"}"#;
        let turns = [
            ("user", "a"),
            ("user", "b"),
            ("assistant", "c"),
            ("tool_call", call),
            ("tool_call", r#"{"name": "g"}"#),
            ("tool_response", "d"),
            ("tool", "e"),
        ];
        let Conversation { system, turns } = conversation(&turns).unwrap();
        assert_eq!(system, None);
        let [Turn::User(question), Turn::Assistant(answers), Turn::Tools(results)] = turns.as_slice() else {
            panic!("{turns:?}");
        };
        assert_eq!(
            (question.as_str(), results.as_slice()),
            ("ab", ["d".to_owned(), "e".to_owned()].as_slice())
        );
        let [text, calls] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(text.text, "c");
        // Arguments may be JSON text, and may be missing.
        let expected = [("f", json!({"x": 1})), ("g", json!({}))];
        let expected = expected.map(|(name, arguments)| Call { name: name.to_owned(), arguments });
        assert_eq!(calls.calls, expected);
    }

    #[test]
    fn what_is_no_conversation_is_refused_with_the_reason() {
        let reason = |turns: &[(&str, &str)]| conversation(turns).unwrap_err().message().to_owned();
        assert_eq!(reason(&[("system", "a")]), "the conversation has no messages");
        assert_eq!(reason(&[("user", "a"), ("system", "b")]), "a `system` message is not the first message");
        assert_eq!(reason(&[("narrator", "a")]), "a message has an unknown role");
        assert_eq!(reason(&[("tool_call", "f(x)")]), "a tool call is not a JSON object");
        assert_eq!(reason(&[("tool_call", "{}")]), "a tool call has no `name`");
    }

    #[test]
    fn tools_have_several_spellings() {
        let function = json!({"name": "f"});
        let wrapped = json!({"type": "function", "function": function});
        let list = json!([function, wrapped, wrapped.to_string()]);
        assert_eq!(tools(&list).unwrap(), [wrapped.clone(), wrapped.clone(), wrapped]);
        assert!(tools(&json!("f")).is_err());
    }
}
