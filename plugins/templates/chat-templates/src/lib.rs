//! Chat templates of public models, and the ways in which they describe and call tools.
//!
//! A template is an entry of `templates.json`, an agent template one of `agents/agents.json`; what an entry cannot say is
//! one of a few behaviours that it names.

mod agents;
mod behaviours;
mod conversation;
mod date;
mod json;
mod render;
mod segments;
mod table;
mod thinking;

use swift_plugin::prelude::*;

use agents::Agent;
use conversation::Conversation;
use render::Renderer;
use table::Entry;

parameters! {
    /// Chat templates and agent formats of public models.
    pub struct ChatTemplates {}
}

impl Template for ChatTemplates {
    fn names(&self) -> Vec<String> {
        table::names()
    }

    fn render(
        &self,
        name: &str,
        messages: &[Message],
        tools: Option<&Value>,
        options: &RenderOptions,
    ) -> Result<Rendered> {
        let entry = Entry::find(name)?;
        let agent = options.agent_template.as_ref().or(entry.agent_template.as_ref());
        let agent = agent.map(|name| Agent::find(name)).transpose()?;
        let mut conversation = Conversation::new(messages, agent, entry.trims_messages)?;
        if options.training != Training::None && !conversation.ends_with_answer() {
            bail!("the conversation does not end with an answer");
        }
        let has_system = conversation.system.is_some();
        set_system(&mut conversation, entry, agent, tools, options)?;
        if (has_system || conversation.system.is_some()) && !entry.has_system() {
            bail!("the template has no place for a system message");
        }
        let behaviours = behaviours::of(entry)?;
        for behaviour in &behaviours {
            (behaviour.prepare)(&mut conversation, options)?;
        }
        thinking::system(&mut conversation, entry, options);
        thinking::arrange(&mut conversation, entry, options);
        let mut rendered = Renderer { entry, agent, options }.render(conversation);
        for behaviour in &behaviours {
            (behaviour.finish)(&mut rendered, options);
        }
        Ok(rendered)
    }

    fn agent_templates(&self) -> Vec<String> {
        agents::names()
    }

    fn read_calls(&self, name: &str, agent_template: Option<&str>, answer: &str) -> Result<Answer> {
        let agent = match agent_template.or(Entry::find(name)?.agent_template.as_deref()) {
            Some(agent) => Agent::find(agent)?,
            None => return Ok(Answer { text: answer.to_owned(), calls: Vec::new() }),
        };
        let (text, calls) = agent.read_calls(answer);
        let calls = calls.into_iter().map(|(name, arguments)| Call { name, arguments }).collect();
        Ok(Answer { text: text.to_owned(), calls })
    }
}

/// The conversation's own system text, or the run's, or the template's, with the tools in it.
fn set_system(
    conversation: &mut Conversation,
    entry: &Entry,
    agent: Option<&Agent>,
    tools: Option<&Value>,
    options: &RenderOptions,
) -> Result<()> {
    let default = || options.system.clone().or_else(|| render::default_system(entry, &options.date));
    let mut system = conversation.system.take().or_else(default);
    let tools = tools.map_or_else(|| Ok(Vec::new()), conversation::tools)?;
    if !tools.is_empty() {
        let Some(agent) = agent else { bail!("the template has no way to describe tools") };
        agent.describe(&tools, &mut system, conversation.first_question());
    } else if let (Some(frame), Some(text)) = (&entry.bare_system, &mut system) {
        *text = segments::fill(frame, |place| (place == "SYSTEM").then(|| text.clone()));
    }
    conversation.system = system.filter(|text| !text.is_empty() || entry.keeps_empty_system);
    Ok(())
}

export!(ChatTemplates: Template);
