//! From a conversation to pieces.

use swift_plugin::{Content, Piece, RenderOptions, Rendered, Training};

use crate::agents::{Agent, Results};
use crate::conversation::{Answer, Conversation, Turn};
use crate::date;
use crate::segments::{contents, fill};
use crate::table::Entry;
use crate::thinking;

/// What the pieces of a conversation are made with.
pub(crate) struct Renderer<'a> {
    /// The template.
    pub(crate) entry: &'a Entry,
    /// How tools are called.
    pub(crate) agent: Option<&'a Agent>,
    /// How to render.
    pub(crate) options: &'a RenderOptions,
}

/// What the model answers, and its answer.
struct Round {
    before: Before,
    /// The user's last question.
    question: String,
    /// Nothing in the last round of a prompt.
    answers: Vec<Answer>,
}

enum Before {
    Question,
    Results(Results),
}

impl Renderer<'_> {
    /// The pieces of a conversation.
    pub(crate) fn render(&self, conversation: Conversation) -> Rendered {
        let mut pieces = Vec::new();
        if self.entry.add_bos {
            pieces.push(self.untrained(Content::TextBegin));
        }
        let system = conversation.system.as_deref();
        let beginning = match (system, &self.entry.system_prefix) {
            (Some(_), Some(text)) => text,
            _ => &self.entry.prefix,
        };
        pieces.extend(self.untrained_text(beginning, |place| match place {
            "SYSTEM" => system.map(str::to_owned),
            "THINKING" if thinking::thinks(self.entry, self.options) => {
                Some(self.entry.thinking_mark.clone())
            }
            "THINKING" => Some(self.entry.non_thinking_mark.clone()),
            _ => None,
        }));
        let rounds = self.rounds(conversation.turns);
        for (index, round) in rounds.iter().enumerate() {
            self.push_before(&mut pieces, round, index, index + 1 == rounds.len(), system);
            self.push_answer(&mut pieces, round, rounds.get(index + 1));
        }
        if self.entry.add_bos && self.options.training != Training::None {
            pieces.push(Piece { weight: 1.0, ..self.untrained(Content::TextEnd) });
        }
        Rendered { pieces, suffix: self.contents(&self.entry.suffix, |_| None) }
    }

    /// Questions and results with the answers to them. A conversation that begins with an answer has an empty question
    /// before it. Where a template has no way to go on, the last round stands alone.
    fn rounds(&self, turns: Vec<Turn>) -> Vec<Round> {
        let mut rounds: Vec<Round> = Vec::new();
        let mut question = String::new();
        for turn in turns {
            let before = match turn {
                Turn::User(text) => {
                    question = text;
                    Before::Question
                }
                Turn::Tools(results) => {
                    let calls = rounds.last().and_then(|round| round.answers.last());
                    let calls = calls.map_or(&[][..], |answer| &answer.calls);
                    Before::Results(match self.agent {
                        Some(agent) => agent.write_results(&results, calls),
                        None => Results::InAnswer(results.concat()),
                    })
                }
                Turn::Assistant(answers) => {
                    match rounds.last_mut() {
                        Some(round) if round.answers.is_empty() => round.answers = answers,
                        _ => {
                            rounds.push(Round { before: Before::Question, question: String::new(), answers })
                        }
                    }
                    continue;
                }
            };
            rounds.push(Round { before, question: question.clone(), answers: Vec::new() });
        }
        if self.entry.chat_sep.is_none() {
            rounds.drain(..rounds.len().saturating_sub(1));
        }
        rounds
    }

    fn push_before(
        &self,
        pieces: &mut Vec<Piece>,
        round: &Round,
        index: usize,
        is_last: bool,
        system: Option<&str>,
    ) {
        let place = |query: &str, place: &str| match place {
            "QUERY" => Some(query.to_owned()),
            "SYSTEM" => system.map(str::to_owned),
            "ROUND0" => Some(index.to_string()),
            "ROUND1" => Some((index + 1).to_string()),
            _ => None,
        };
        match &round.before {
            Before::Question => {
                let last_prompt = self.entry.system_prompt.as_ref().filter(|_| is_last);
                let prompt = last_prompt.unwrap_or(&self.entry.prompt);
                pieces.extend(self.untrained_text(prompt, |name| place(&round.question, name)));
            }
            Before::Results(Results::InAnswer(text)) => {
                pieces.push(self.untrained(Content::Text(text.clone())))
            }
            Before::Results(Results::Turn(role, text)) => {
                let prompt = self.entry.prompt.replacen("user", role, 1);
                let separator = self.entry.chat_sep.as_deref().unwrap_or_default();
                pieces.extend(self.untrained_text(separator, |_| None));
                pieces.extend(self.untrained_text(&prompt, |name| place(text, name)));
            }
        }
    }

    fn push_answer(&self, pieces: &mut Vec<Piece>, round: &Round, next: Option<&Round>) {
        for answer in &round.answers {
            pieces.push(Piece {
                content: Content::Text(answer.text.clone()),
                weight: self.weight(answer, next.is_none()),
                answer_to: Some(round.question.clone()),
            });
        }
        match next {
            // Results bring what stands between.
            Some(Round { before: Before::Results(_), .. }) => {}
            Some(_) => {
                let separator = self.entry.chat_sep.as_deref().unwrap_or_default();
                pieces.extend(self.untrained_text(separator, |_| None));
            }
            None if round.answers.is_empty() => {
                let prefix = thinking::response_prefix(self.entry, self.options);
                pieces.push(self.untrained(Content::Text(prefix.to_owned())));
            }
            None if self.options.training == Training::None => {}
            None if round.answers.last().is_some_and(|answer| self.ends_with_stop_word(&answer.text)) => {}
            None => {
                let suffix = self.contents(&self.entry.suffix, |_| None);
                pieces.extend(suffix.into_iter().map(|content| Piece {
                    content,
                    weight: 1.0,
                    answer_to: None,
                }));
            }
        }
    }

    /// The factor on the loss of an answer's tokens, 0 if it is not trained on. Answers in a prompt have the one that they
    /// have in training, for tokens to be cut where they are cut there.
    fn weight(&self, answer: &Answer, is_last_round: bool) -> f64 {
        let trains = match self.options.training {
            Training::None | Training::Answers | Training::Everything => true,
            Training::LastRound => is_last_round,
        };
        if answer.train.unwrap_or(trains) { answer.loss_scale.unwrap_or(1.0) } else { 0.0 }
    }

    fn ends_with_stop_word(&self, answer: &str) -> bool {
        let special = self.options.special_tokens.iter().find(|(name, _)| name == "eos_token");
        let words = self.entry.stop_words.iter().map(String::as_str);
        let mut words = words.chain([self.entry.suffix.trim()]).chain(special.map(|(_, word)| word.as_str()));
        words.any(|word| !word.is_empty() && answer.ends_with(word))
    }

    fn untrained(&self, content: Content) -> Piece {
        let weight = if self.options.training == Training::Everything { 1.0 } else { 0.0 };
        Piece { content, weight, answer_to: None }
    }

    fn untrained_text(&self, text: &str, fill: impl Fn(&str) -> Option<String>) -> Vec<Piece> {
        self.contents(text, fill).into_iter().map(|content| self.untrained(content)).collect()
    }

    fn contents(&self, text: &str, fill: impl Fn(&str) -> Option<String>) -> Vec<Content> {
        contents(text, |place| fill(place).or_else(|| date::place(place, &self.options.date)))
    }
}

/// The template's own system text, with the day in it.
pub(crate) fn default_system(entry: &Entry, date: &str) -> Option<String> {
    Some(fill(entry.default_system.as_deref()?, |place| date::place(place, date)))
}
