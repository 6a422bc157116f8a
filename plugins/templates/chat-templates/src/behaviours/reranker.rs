//! Qwen3-Reranker: the first question and its answer are a query and a document, and the system text an instruction. The
//! model is asked whether they fit.

use swift_plugin::{RenderOptions, Result, bail};

use crate::conversation::{Conversation, Turn};

const INSTRUCTION: &str = "Given a web search query, retrieve relevant passages that answer the query";

pub(super) fn prepare(conversation: &mut Conversation, _options: &RenderOptions) -> Result<()> {
    let [Turn::User(query), Turn::Assistant(document), ..] = conversation.turns.as_slice() else {
        bail!("the conversation has no question with an answer to judge");
    };
    let document: String = document.iter().map(|part| part.text.as_str()).collect();
    let instruction = conversation.system.take().filter(|text| !text.is_empty());
    let instruction = instruction.as_deref().unwrap_or(INSTRUCTION);
    let question = format!("<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}");
    conversation.turns = vec![Turn::User(question)];
    Ok(())
}
