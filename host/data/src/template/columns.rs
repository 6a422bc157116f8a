use serde_json::{Map, Value};

use super::Unfit;

/// What a row says of its conversation besides the messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowColumns<'a> {
    /// The tools that the conversation may call: a list, or the JSON text of one.
    pub tools: Option<&'a Value>,
    /// Variables for the template, which win over those of the run: an object.
    pub chat_template_kwargs: Option<&'a Value>,
}

impl<'a> RowColumns<'a> {
    /// The variables.
    pub(super) fn chat_template_kwargs(self) -> Result<Option<&'a Map<String, Value>>, Unfit> {
        match self.chat_template_kwargs {
            None => Ok(None),
            Some(Value::Object(variables)) => Ok(Some(variables)),
            Some(_) => Err(Unfit::new("`chat_template_kwargs` is not an object", "")),
        }
    }
}
