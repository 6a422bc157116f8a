//! Prompts for a model that is to answer now.

use minijinja::context;
use minijinja::value::Value as Variable;
use serde_json::{Map, Value, json};

use super::jinja::{JinjaTemplate, NAME};
use super::{Plugins, RenderOptions, Template, TrainedParts, Unfit};
use crate::error::{Error, Result};
use crate::rows::Message;

impl Template {
    /// Token ids of the prompt for the next answer in a conversation. Messages are those of OpenAI's interface: `role`,
    /// `content` as text, `tool_calls` with arguments as objects. The model's own chat template sees them as they are, with
    /// `variables`; a template of a plugin knows `enable_thinking`,
    /// `preserve_thinking` and `response_prefix` of those. If the answer `continues` the last message, the prompt ends with what that
    /// says, as with transformers' `continue_final_message`; templates of plugins can't. The inner error says why the conversation
    /// cannot be used.
    ///
    /// # Errors
    /// A plugin fails.
    pub fn prompt(
        &mut self,
        messages: &[Value],
        tools: Option<&Value>,
        variables: &Map<String, Value>,
        continues: bool,
    ) -> Result<Result<Vec<u32>, Unfit>> {
        let tokenizer = &self.finisher.tokenizer;
        let Some(Plugins { renderer, .. }) = &mut self.plugins else {
            let Some(jinja) = &self.finisher.jinja else { return Err(Error::TemplateMissing) };
            let text = jinja.chat(messages, tools, variables);
            let text = match messages.last().and_then(|last| last.get("content")?.as_str()) {
                Some(last) if continues => text.and_then(|text| until_end_of(last, text)),
                _ => text,
            };
            return Ok(text.and_then(|text| Ok(tokenizer.encode(&text)?)));
        };
        if continues {
            return Ok(Err(Unfit::new("a template by name does not continue a message", "")));
        }
        let messages: Vec<Message> = match messages.iter().map(plain).collect::<Result<Vec<_>, _>>() {
            Ok(messages) => messages.into_iter().flatten().collect(),
            Err(unfit) => return Ok(Err(unfit)),
        };
        let mut options = RenderOptions::new(&self.options, tokenizer, TrainedParts::None);
        if let Err(message) = options.set(variables) {
            return Ok(Err(Unfit::new("a template by name does not take these variables", message)));
        }
        let rendered = renderer.render(&self.name, &messages, tools, &options);
        let rendered = rendered.map_err(Error::template(renderer.name()))?;
        Ok(rendered.and_then(|rendered| Ok(rendered.tokenize(tokenizer)?.input_ids)))
    }
}

/// The part of a rendered conversation up to where its last message ends, which templates may have taken white space from.
fn until_end_of(message: &str, mut rendered: String) -> Result<String, Unfit> {
    let bare = message.trim();
    let Some(start) = rendered.rfind(bare).filter(|_| !bare.is_empty()) else {
        return Err(Unfit::new("the chat template does not show the last message as it is", ""));
    };
    let as_it_is = message.trim_start();
    let is_whole = rendered.get(start..).is_some_and(|rest| rest.starts_with(as_it_is));
    rendered.truncate(start + if is_whole { as_it_is.len() } else { bare.len() });
    Ok(rendered)
}

/// A message as rows have it; one with calls of tools becomes several.
fn plain(message: &Value) -> Result<Vec<Message>, Unfit> {
    let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    let role = match text("role") {
        "tool" | "function" => "tool_response",
        "developer" => "system",
        role => role,
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut messages = Vec::new();
    if calls.is_empty() || !text("content").is_empty() {
        messages.push(Message::new(role, text("content")));
    }
    for call in calls {
        let function = call.get("function").ok_or_else(|| Unfit::new("a call has no `function`", ""))?;
        let call = json!({ "name": function.get("name"), "arguments": function.get("arguments") });
        messages.push(Message::new("tool_call", call.to_string()));
    }
    Ok(messages)
}

impl JinjaTemplate {
    /// The text that the template makes of messages as they are, up to where the next answer begins, unless `variables` have
    /// `add_generation_prompt` as false.
    fn chat(
        &self,
        messages: &[Value],
        tools: Option<&Value>,
        variables: &Map<String, Value>,
    ) -> Result<String, Unfit> {
        let system = self.system.as_ref().filter(|_| {
            messages
                .first()
                .and_then(|first| first.get("role")?.as_str())
                .is_some_and(|role| role != "system")
        });
        let system = system.map(|text| json!({ "role": "system", "content": text }));
        let messages: Vec<&Value> = system.iter().chain(messages).collect();
        let tokens =
            self.tokenizer.special_tokens().map(|(name, text)| (name.to_owned(), Variable::from(text)));
        let begins = [("add_generation_prompt".to_owned(), Variable::from(true))];
        let given = self.variables.iter().chain(variables);
        let given = given.map(|(name, value)| (name.clone(), Variable::from_serialize(value)));
        let named = tokens.chain(begins).chain(given);
        let named: std::collections::BTreeMap<String, Variable> = named.collect();
        let named = Variable::from_serialize(named);
        // `transformers` always passes tools and documents.
        let values = context! { messages, tools => tools, documents => (), ..named };
        self.environment.get_template(NAME).and_then(|template| template.render(values)).map_err(|error| {
            let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Unfit::new("the chat template refuses the conversation", detail)
        })
    }
}
