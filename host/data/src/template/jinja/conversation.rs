//! Messages as chat templates know them.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::rows::Message;
use crate::template::Unfit;
use crate::template::options::Said;

/// A conversation in the form that `transformers` gives to chat templates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conversation {
    pub(super) turns: Vec<Turn>,
}

/// A message of a conversation: what one side said before another spoke.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) content: String,
    /// The calls of tools that an answer ends with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall>,
    /// What each part of it says of being trained on.
    #[serde(skip)]
    said: Vec<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ToolCall {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(rename = "type")]
    kind: &'static str,
    pub(super) function: Function,
}

/// What is called, and with what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Function {
    pub(super) name: String,
    arguments: Value,
}

impl Conversation {
    /// The turns of messages; without a system message, they begin with `system` if that is given.
    pub(super) fn new(messages: &[Message], system: Option<&str>) -> Result<Self, Unfit> {
        let (own, rest) = match messages.split_first() {
            Some((first, rest)) if first.role == "system" => (Some(first.content.as_str()), rest),
            _ => (None, messages),
        };
        if rest.is_empty() {
            return Err(Unfit::new("the conversation has no messages", ""));
        }
        let system = own.or(system).map(|text| Turn::new(Role::System, text));
        let mut conversation = Self { turns: system.into_iter().collect() };
        for message in rest {
            conversation.add(message)?;
        }
        Ok(conversation)
    }

    fn add(&mut self, message: &Message) -> Result<(), Unfit> {
        let Message { role, content, train, loss_scale } = message;
        let said = Said { train: *train, loss_scale: *loss_scale };
        match (role.as_str(), self.turns.last_mut()) {
            ("user", Some(turn)) if turn.role == Role::User => turn.content.push_str(content),
            ("user", _) => self.turns.push(Turn::new(Role::User, content)),
            ("assistant", Some(turn)) if turn.role == Role::Assistant => {
                // Chat templates write an answer's text before its calls.
                if !turn.tool_calls.is_empty() {
                    return Err(Unfit::new("an answer goes on after it has called a tool", ""));
                }
                turn.content.push_str(content);
                turn.said.push(said);
            }
            ("assistant", _) => {
                self.turns.push(Turn { said: vec![said], ..Turn::new(Role::Assistant, content) });
            }
            ("tool_call", last) => {
                let call = ToolCall::from_json(content)?;
                match last {
                    Some(turn) if turn.role == Role::Assistant => {
                        turn.tool_calls.push(call);
                        turn.said.push(said);
                    }
                    _ => self.turns.push(Turn {
                        tool_calls: vec![call],
                        said: vec![said],
                        ..Turn::new(Role::Assistant, "")
                    }),
                }
            }
            ("tool" | "tool_response", _) => self.turns.push(Turn::new(Role::Tool, content)),
            ("system", _) => return Err(Unfit::new("a `system` message is not the first message", "")),
            _ => return Err(Unfit::new("a message has an unknown role", format!("`{role}`"))),
        }
        Ok(())
    }

    pub(super) fn ends_with_answer(&self) -> bool {
        self.turns.last().is_some_and(|turn| turn.role == Role::Assistant)
    }

    /// Index of each answer, and what it says of being trained on.
    pub(super) fn answers(&self) -> Result<Vec<(usize, Said)>, Unfit> {
        let answers = self.turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant);
        let answers = answers.map(|(index, turn)| {
            let said = turn.said.first().copied().unwrap_or_default();
            match turn.said.iter().all(|other| *other == said) {
                true => Ok((index, said)),
                false => Err(Unfit::new("answers in a row differ in whether they are trained on", "")),
            }
        });
        answers.collect()
    }
}

impl Turn {
    fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), tool_calls: Vec::new(), said: Vec::new() }
    }

    /// White space at the end of an answer's text, which templates may trim; none behind calls.
    pub(super) fn trailing(&self) -> &str {
        match self.tool_calls.is_empty() {
            true => self.content.get(self.content.trim_end().len()..).unwrap_or_default(),
            false => "",
        }
    }

    /// The turn with `mark` behind the last word that is certain to be found in what it is rendered to: the name of the last
    /// tool that it calls, or the last letter of its text.
    pub(super) fn marked(&self, mark: &str) -> Self {
        let mut marked = self.clone();
        match marked.tool_calls.last_mut() {
            Some(call) => call.function.name.push_str(mark),
            None => marked.content.insert_str(self.content.trim_end().len(), mark),
        }
        marked
    }
}

impl ToolCall {
    /// From `{"name": .., "arguments": ..}`, whose arguments may be an object, its text, or missing.
    fn from_json(text: &str) -> Result<Self, Unfit> {
        let Ok(Value::Object(mut call)) = serde_json::from_str(text) else {
            return Err(Unfit::new("a tool call is not a JSON object", ""));
        };
        let id = call.remove("id");
        // Some rows have the whole call as it stands in a message.
        let mut function = match call.remove("function") {
            Some(Value::Object(function)) => function,
            _ => call,
        };
        let Some(Value::String(name)) = function.remove("name") else {
            return Err(Unfit::new("a tool call has no `name`", ""));
        };
        let arguments = function.remove("arguments").or_else(|| function.remove("parameters"));
        let arguments = match arguments {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            Some(arguments) => arguments,
        };
        Ok(Self { kind: "function", id, function: Function { name, arguments } })
    }
}

/// The tools of a row, each as `{"type": "function", "function": ..}`.
pub(super) fn tools(column: &Value) -> Result<Vec<Value>, Unfit> {
    let invalid = || Unfit::new("`tools` is not a list of tools", "");
    let parsed;
    let list = match column {
        Value::String(text) => {
            parsed = serde_json::from_str(text).map_err(|_| invalid())?;
            &parsed
        }
        column => column,
    };
    let wrapped = |tool: &Value| {
        let tool: Value = match tool {
            Value::String(text) => serde_json::from_str(text).map_err(|_| invalid())?,
            tool => tool.clone(),
        };
        match &tool {
            Value::Object(members) if members.contains_key("type") && members.contains_key("function") => {
                Ok(tool)
            }
            Value::Object(_) => Ok(serde_json::json!({"type": "function", "function": tool})),
            _ => Err(invalid()),
        }
    };
    match list {
        Value::Array(tools) => tools.iter().map(wrapped).collect(),
        tool => Ok(vec![wrapped(tool)?]),
    }
}
