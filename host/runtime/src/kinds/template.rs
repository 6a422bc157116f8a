use crate::Result;
use crate::bindings::conversation;
use crate::bindings::template::exports::swift::plugin::template as contract;
use crate::guest::Guest;
use crate::instance::Rejection;
use crate::kinds::dataset::Message;
use crate::store::Views;

pub use contract::{
    Answer as ReadAnswer, Call as ReadCall, Content as PieceContent, Options as RenderOptions, Piece,
    Rendered, Training as RenderedTraining,
};

/// A plugin at work as a set of chat templates.
pub struct TemplatePlugin {
    guest: Guest<contract::Guest>,
}

impl TemplatePlugin {
    pub(crate) fn new(guest: Guest<contract::Guest>) -> Self {
        Self { guest }
    }

    /// The plugin's name.
    pub fn name(&self) -> &str {
        self.guest.name()
    }

    /// The templates that it has, by name.
    ///
    /// # Errors
    /// If the plugin crashes or takes too much.
    pub fn names(&mut self) -> Result<Vec<String>> {
        let call = |template: &contract::Guest, store: &mut _| template.call_names(store);
        self.guest.call("names", Views::default(), call, |names, _| Ok(names))
    }

    /// The ways to describe and to call tools that it has, by name.
    ///
    /// # Errors
    /// If the plugin crashes or takes too much.
    pub fn agent_templates(&mut self) -> Result<Vec<String>> {
        let call = |template: &contract::Guest, store: &mut _| template.call_agent_templates(store);
        self.guest.call("agent-templates", Views::default(), call, |names, _| Ok(names))
    }

    /// Takes apart what a model answers, with tools called in the way `agent_template`, or in that of the template `name`;
    /// the inner error says why that cannot be done.
    ///
    /// # Errors
    /// If the plugin crashes or takes too much.
    pub fn read_calls(
        &mut self,
        name: &str,
        agent_template: Option<&str>,
        answer: &str,
    ) -> Result<std::result::Result<ReadAnswer, String>> {
        let call = |template: &contract::Guest, store: &mut _| {
            template.call_read_calls(store, name, agent_template, answer)
        };
        self.guest.call("read-calls", Views::default(), call, |answer, _| Ok(answer))
    }

    /// Renders a conversation with the template `name`; the inner error says why the row is left out.
    ///
    /// # Errors
    /// If the plugin crashes, takes too much, or gives a weight that is no number from 0 on.
    pub fn render(
        &mut self,
        name: &str,
        messages: &[Message],
        tools_json: Option<&str>,
        options: &RenderOptions,
    ) -> Result<std::result::Result<Rendered, String>> {
        let messages: Vec<conversation::Message> = messages.iter().map(conversation::Message::from).collect();
        self.guest.call(
            "render",
            Views::default(),
            |template, store| template.call_render(store, name, &messages, tools_json, options),
            |rendered, _| {
                let weights = rendered.iter().flat_map(|rendered| &rendered.pieces).map(|piece| piece.weight);
                match weights.into_iter().find(|weight| !(weight.is_finite() && *weight >= 0.0)) {
                    Some(weight) => Err(Rejection::Wrong(format!("a factor on the loss is not {weight}"))),
                    None => Ok(rendered),
                }
            },
        )
    }
}
