use std::collections::BTreeMap;

use serde::Deserialize;

use crate::encode::Piece;
use crate::error::{Error, Result};
use crate::template::chat::{Answer, Conversation, Turn};
use crate::template::{LossScale, TemplateOptions};
use crate::tokenizer::Tokenizer;

/// A template that is data: an entry of `templates.toml`, where its fields are explained.
#[derive(Clone, Debug)]
pub(super) struct TableTemplate {
    entry: Entry,
    /// Tokens that the tokeniser puts around a text by itself; empty unless the entry wants them.
    begin_ids: Vec<u32>,
    end_ids: Vec<u32>,
    suffix_ids: Vec<u32>,
    stop_words: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    prefix: String,
    prompt: String,
    chat_sep: String,
    suffix: String,
    system_prefix: String,
    default_system: Option<String>,
    #[serde(default)]
    add_bos: bool,
    #[serde(default)]
    stop_words: Vec<String>,
    #[serde(default)]
    is_thinking: bool,
    #[serde(default)]
    thinking_prefix: String,
    #[serde(default)]
    non_thinking_prefix: String,
}

fn entries() -> Result<BTreeMap<String, Entry>> {
    toml::from_str(include_str!("templates.toml")).map_err(|error| Error::TemplateInvalid(error.to_string()))
}

pub(super) fn names() -> Vec<String> {
    entries().unwrap_or_default().into_keys().collect()
}

impl TableTemplate {
    /// `None` if there is no template of this name.
    pub(super) fn new(name: &str, tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let Some(entry) = entries()?.remove(name) else {
            return Ok(None);
        };
        let (begin_ids, end_ids) = if entry.add_bos { tokenizer.surroundings()? } else { Default::default() };
        let mut stop_words = entry.stop_words.clone();
        stop_words.push(entry.suffix.trim().to_owned());
        stop_words.extend(tokenizer.special_token("eos_token").map(str::to_owned));
        stop_words.retain(|word| !word.is_empty());
        let suffix_ids = tokenizer.encode(&entry.suffix)?;
        Ok(Some(Self { entry, begin_ids, end_ids, suffix_ids, stop_words }))
    }

    pub(super) fn suffix_ids(&self) -> &[u32] {
        &self.suffix_ids
    }

    /// The pieces of a conversation for training, or without a loss scale those of a prompt.
    pub(super) fn pieces(
        &self,
        mut conversation: Conversation,
        loss_scale: Option<LossScale>,
        options: &TemplateOptions,
    ) -> Vec<Piece> {
        let training = loss_scale.is_some();
        let scale = loss_scale.unwrap_or_default();
        self.arrange_thoughts(&mut conversation, training && scale != LossScale::LastRound, options);

        let everywhere = scale.elsewhere();
        let mut pieces = vec![Piece::tokens(&self.begin_ids, everywhere)];
        let default_system = options.system.as_ref().or(self.entry.default_system.as_ref());
        let system = conversation.system.as_ref().or(default_system).filter(|text| !text.is_empty());
        pieces.push(match system {
            Some(text) => Piece::text(self.entry.system_prefix.replace("{{SYSTEM}}", text), everywhere),
            None => Piece::text(&self.entry.prefix, everywhere),
        });

        let mut rounds = rounds(conversation.turns).peekable();
        while let Some((question, answers)) = rounds.next() {
            let is_last_round = rounds.peek().is_none();
            pieces.push(Piece::text(self.entry.prompt.replace("{{QUERY}}", &question), everywhere));
            let stopped = answers.last().is_some_and(|answer| self.ends_with_stop_word(&answer.text));
            let answered = !answers.is_empty();
            pieces.extend(
                answers
                    .into_iter()
                    .map(|answer| Piece::text(answer.text, scale.weight(answer.said, is_last_round))),
            );
            if !is_last_round {
                pieces.push(Piece::text(&self.entry.chat_sep, everywhere));
            } else if !answered {
                pieces.push(Piece::text(self.answer_prefix(options), everywhere));
            } else if training && !stopped && self.end_ids.is_empty() {
                pieces.push(Piece::text(&self.entry.suffix, 1.0));
            }
        }
        pieces.push(Piece::tokens(&self.end_ids, 1.0));
        pieces
    }

    fn arrange_thoughts(&self, conversation: &mut Conversation, all_rounds: bool, options: &TemplateOptions) {
        if options.add_non_thinking_prefix && !self.entry.non_thinking_prefix.is_empty() {
            conversation.add_non_thinking_prefix(&self.entry.non_thinking_prefix, !all_rounds);
        }
        let thinks = self.entry.is_thinking || options.enable_thinking == Some(true);
        if !options.preserve_thinking.unwrap_or(!thinks || all_rounds) {
            conversation.remove_history_thinking();
        }
    }

    /// What a prompt ends with.
    fn answer_prefix(&self, options: &TemplateOptions) -> &str {
        if options.enable_thinking == Some(true) {
            &self.entry.thinking_prefix
        } else {
            &self.entry.non_thinking_prefix
        }
    }

    fn ends_with_stop_word(&self, answer: &str) -> bool {
        self.stop_words.iter().any(|word| answer.ends_with(word))
    }
}

/// Questions with their answers. A conversation that begins with an answer has an empty question before it; one that ends
/// with a question has no answers to it.
fn rounds(turns: Vec<Turn>) -> impl Iterator<Item = (String, Vec<Answer>)> {
    let mut turns = turns.into_iter().peekable();
    std::iter::from_fn(move || {
        let question = match turns.next()? {
            Turn::Assistant(answers) => return Some((String::new(), answers)),
            Turn::User(question) => question,
        };
        let answers = match turns.next_if(|turn| matches!(turn, Turn::Assistant(_))) {
            Some(Turn::Assistant(answers)) => answers,
            _ => Vec::new(),
        };
        Some((question, answers))
    })
}
