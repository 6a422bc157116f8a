//! Thoughts before answers: whether they are there, whether they stay, and what stands for them.

use swift_plugin::{RenderOptions, Training};

use crate::conversation::{Conversation, Turn};
use crate::segments::fill;
use crate::table::{Entry, NonThinking};

/// Whether the model shall think before it answers.
pub(crate) fn thinks(entry: &Entry, options: &RenderOptions) -> bool {
    let by_default = entry.is_thinking && entry.non_thinking_prefix.is_empty();
    options.enable_thinking.or(entry.enable_thinking).unwrap_or(by_default)
}

/// What a prompt ends with.
pub(crate) fn response_prefix<'a>(entry: &'a Entry, options: &'a RenderOptions) -> &'a str {
    match &options.response_prefix {
        Some(prefix) => prefix,
        None if !entry.response_prefix.is_empty() => &entry.response_prefix,
        None if thinks(entry, options) => &entry.thinking_prefix,
        None => &entry.non_thinking_prefix,
    }
}

/// What the system text says of thinking.
pub(crate) fn system(conversation: &mut Conversation, entry: &Entry, options: &RenderOptions) {
    if !thinks(entry, options) {
        return;
    }
    let frame =
        if conversation.system.is_some() { &entry.thinking_system } else { &entry.thinking_system_alone };
    if let Some(frame) = frame {
        let text = conversation.system.take().unwrap_or_default();
        conversation.system = Some(fill(frame, |place| (place == "SYSTEM").then(|| text.clone())));
    }
}

/// Puts the sign for it before answers without thoughts, and takes the thoughts of earlier answers away.
pub(crate) fn arrange(conversation: &mut Conversation, entry: &Entry, options: &RenderOptions) {
    // Where all rounds are trained on, none of them is history.
    let all_rounds = matches!(options.training, Training::Answers | Training::Everything);
    let keeps_history = keeps_history(entry, all_rounds, options);
    if options.add_non_thinking_prefix && !entry.non_thinking_prefix.is_empty() {
        let is_prompt = options.training == Training::None;
        let last_question = conversation.last_question();
        let (first, prefix) = match entry.non_thinking_answers {
            NonThinking::Last => (conversation.turns.len().saturating_sub(1), &entry.non_thinking_prefix),
            _ if all_rounds || (is_prompt && keeps_history) => (0, &entry.non_thinking_prefix),
            // What a prompt has of the round that goes on looks as history does.
            _ if is_prompt => (last_question, &entry.history_thinking_prefix),
            _ => (last_question, &entry.non_thinking_prefix),
        };
        add_prefix(conversation, entry, first, prefix);
    }
    if !keeps_history {
        remove_history(conversation, entry);
    }
}

fn keeps_history(entry: &Entry, all_rounds: bool, options: &RenderOptions) -> bool {
    let thinks = entry.is_thinking || options.enable_thinking == Some(true);
    options.preserve_thinking.or(entry.preserve_thinking).unwrap_or(!thinks || all_rounds)
}

/// Puts `prefix` before answers from the turn `first` on.
fn add_prefix(conversation: &mut Conversation, entry: &Entry, first: usize, prefix: &str) {
    let mut goes_on = false;
    for (index, turn) in conversation.turns.iter_mut().enumerate() {
        let Turn::Assistant(answers) = turn else {
            goes_on = matches!(turn, Turn::Tools(_));
            continue;
        };
        if index < first || (goes_on && entry.non_thinking_answers == NonThinking::Opening) {
            continue;
        }
        for answer in answers.iter_mut().take(1) {
            let thinks = entry.thinking_starts.iter().any(|start| answer.text.starts_with(start));
            if !thinks && !answer.text.starts_with(prefix) {
                answer.text.insert_str(0, prefix);
            }
        }
    }
}

fn remove_history(conversation: &mut Conversation, entry: &Entry) {
    let last = conversation.last_question();
    for (_, answer) in conversation.first_answers().take_while(|(turn, _)| *turn < last) {
        let text = match answer.text.rsplit_once(&entry.thinking_end) {
            Some((_, text)) => text.trim().trim_end_matches(&entry.answer_end).trim_end(),
            None => answer.text.trim(),
        };
        answer.text = format!("{}{text}", entry.history_thinking_prefix);
    }
}
