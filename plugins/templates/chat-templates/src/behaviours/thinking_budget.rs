//! Seed-OSS: thoughts have a budget of tokens, of which the model is told in a system text of its own.

use swift_plugin::{RenderOptions, Result};

use crate::conversation::Conversation;

/// Budgets with how often the model says how much is left.
const BUDGETS: [(usize, usize); 6] =
    [(512, 128), (1024, 256), (2048, 512), (4096, 512), (8192, 1024), (16384, 1024)];

/// Bytes that a token has, about. A plugin has no tokeniser, and budgets are far apart.
const BYTES: usize = 4;

const NO_BUDGET: &str = "You are an intelligent assistant that can answer questions in one step without the need for \
    reasoning and thinking, that is, your thinking budget is 0. Next, please skip the thinking process and directly start \
    answering the user's questions.\n";

const NO_THOUGHTS: &str = "<seed:think><seed:cot_budget_reflect>The current thinking budget is 0, so I will directly start \
    answering the question.</seed:cot_budget_reflect>\n</seed:think>";

pub(super) fn prepare(conversation: &mut Conversation, options: &RenderOptions) -> Result<()> {
    let lengths = conversation.first_answers().filter_map(|(_, answer)| thoughts(&answer.text));
    let budget = match lengths.max() {
        _ if options.enable_thinking == Some(false) => Some((0, 0)),
        None | Some(0) => Some((0, 0)),
        Some(bytes) => BUDGETS.into_iter().find(|(budget, _)| bytes.div_ceil(BYTES) <= *budget),
    };
    let without_thoughts = if budget == Some((0, 0)) { NO_THOUGHTS } else { "<seed:think></seed:think>" };
    for (_, answer) in conversation.first_answers() {
        if answer.text.starts_with("<think>") {
            answer.text = answer.text.replace("<think>", "<seed:think>").replace("</think>", "</seed:think>");
        } else if options.add_non_thinking_prefix && !answer.text.starts_with("<seed:think>") {
            answer.text.insert_str(0, without_thoughts);
        }
    }
    // Thoughts that are longer than every budget have none.
    let told = match budget {
        Some((0, _)) => NO_BUDGET.to_owned(),
        Some((budget, interval)) => format!(
            "You are an intelligent assistant with reflective ability. In the process of thinking and reasoning, you need to \
             strictly follow the thinking budget, which is {budget}. That is, you need to complete your thinking within \
             {budget} tokens and start answering the user's questions. You will reflect on your thinking process every \
             {interval} tokens, stating how many tokens have been used and how many are left.\n"
        ),
        None => return Ok(()),
    };
    conversation.system = Some(match conversation.system.take() {
        Some(system) if !system.is_empty() => format!("{system}<seed:eos><seed:bos>system\n{told}"),
        _ => told,
    });
    Ok(())
}

/// The length of an answer's thoughts; none if it has no place for them.
fn thoughts(answer: &str) -> Option<usize> {
    let (_, rest) = answer.split_once("<think>")?;
    Some(rest.split("</think>").next().unwrap_or_default().trim().len())
}
