//! What templates do that their fields cannot say, by the names that the table uses.

mod embedding;
mod harmony;
mod observation;
mod process_reward;
mod reranker;
mod response_frame;
mod system_in_question;
mod thinking_budget;

use swift_plugin::{Error, RenderOptions, Rendered, Result};

use crate::conversation::Conversation;
use crate::table::Entry;

/// Something that a template does besides what its fields say.
#[derive(Clone, Copy)]
pub(crate) struct Behaviour {
    /// Changes the conversation before anything else does.
    pub(crate) prepare: fn(&mut Conversation, &RenderOptions) -> Result<()>,
    /// Changes the pieces.
    pub(crate) finish: fn(&mut Rendered, &RenderOptions),
}

impl Behaviour {
    const fn prepare(prepare: fn(&mut Conversation, &RenderOptions) -> Result<()>) -> Self {
        Self { prepare, finish: |_, _| {} }
    }

    const fn finish(finish: fn(&mut Rendered, &RenderOptions)) -> Self {
        Self { prepare: |_, _| Ok(()), finish }
    }
}

const BEHAVIOURS: [(&str, Behaviour); 8] = [
    ("embedding", Behaviour::prepare(embedding::prepare)),
    ("harmony", Behaviour::prepare(harmony::prepare)),
    ("observation", Behaviour::finish(observation::finish)),
    ("process_reward", Behaviour::prepare(process_reward::prepare)),
    ("reranker", Behaviour::prepare(reranker::prepare)),
    ("response_frame", Behaviour::prepare(response_frame::prepare)),
    ("system_in_question", Behaviour::prepare(system_in_question::prepare)),
    ("thinking_budget", Behaviour::prepare(thinking_budget::prepare)),
];

/// The behaviours of a template.
pub(crate) fn of(entry: &Entry) -> Result<Vec<Behaviour>> {
    let find = |name: &String| {
        let found = BEHAVIOURS.into_iter().find(|(known, _)| known == name);
        let found = found.map(|(_, behaviour)| behaviour);
        found.ok_or_else(|| Error::new(format!("there is no behaviour `{name}`")))
    };
    entry.behaviours.iter().map(find).collect()
}
