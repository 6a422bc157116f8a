use jiff::civil::DateTime;
use serde_json::{Map, Value};

/// What the user may say about a template.
#[derive(Clone, Debug)]
pub struct TemplateOptions {
    /// The system text of rows that have none of their own, instead of the template's; empty for none.
    pub system: Option<String>,
    /// Whether prompts ask for thoughts before the answer; by default they do not.
    pub enable_thinking: Option<bool>,
    /// Whether the thoughts of earlier answers stay in the conversation; by default in training on all answers only.
    pub preserve_thinking: Option<bool>,
    /// Whether empty thoughts go before answers without any, where the template has a form for it.
    pub add_non_thinking_prefix: bool,
    /// What a prompt ends with, as the beginning of the answer; by default as the template has it.
    pub response_prefix: Option<String>,
    /// How tools are described and called; by default as the template has it.
    pub agent_template: Option<String>,
    /// Variables that the model's own chat template sees. A template by name knows some of them:
    /// [`RenderOptions::set`](crate::RenderOptions::set).
    pub chat_template_kwargs: Map<String, Value>,
    /// The time that a template sees as now. Fixed by the caller, so that a run can be repeated.
    pub now: Option<DateTime>,
}

impl Default for TemplateOptions {
    fn default() -> Self {
        Self {
            system: None,
            enable_thinking: None,
            preserve_thinking: None,
            add_non_thinking_prefix: true,
            response_prefix: None,
            agent_template: None,
            chat_template_kwargs: Map::new(),
            now: None,
        }
    }
}

/// Which parts of a conversation are trained on, where its messages don't say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrainedParts {
    /// Nothing: the text is a prompt. Its answers still weigh what they weigh in training, for that is where tokens are cut.
    None,
    /// All answers.
    #[default]
    Answers,
    /// The last answer: what follows the last question, or the last results of tools.
    LastRound,
    /// Every token.
    Everything,
}

/// What a message says of being trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) train: Option<bool>,
    pub(super) loss_scale: Option<f64>,
}

impl TrainedParts {
    /// Takes a loss scale apart, such as `last_round+hermes+ignore_empty_think`: what is trained on, which is the host's
    /// business, and the rules, which are a plugin's ([`Weigher`](crate::Weigher)). Without the former, all answers are.
    pub fn split(loss_scale: &str) -> (Self, &str) {
        let (first, rules) = loss_scale.split_once('+').unwrap_or((loss_scale, ""));
        match first {
            "default" => (Self::Answers, rules),
            "last_round" => (Self::LastRound, rules),
            "all" => (Self::Everything, rules),
            _ => (Self::Answers, loss_scale),
        }
    }

    /// The factor on the loss of an answer's tokens, 0 if it is not trained on.
    pub(super) fn weight(self, said: Said, is_last_round: bool) -> f32 {
        let trains = said.train.unwrap_or(match self {
            Self::None => false,
            Self::Answers | Self::Everything => true,
            Self::LastRound => is_last_round,
        });
        if trains { said.loss_scale.unwrap_or(1.0) as f32 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_scale_is_what_is_trained_on_and_rules() {
        for (loss_scale, parts, rules) in [
            ("", TrainedParts::Answers, ""),
            ("default", TrainedParts::Answers, ""),
            ("all", TrainedParts::Everything, ""),
            ("last_round+hermes+react", TrainedParts::LastRound, "hermes+react"),
            ("hermes+react", TrainedParts::Answers, "hermes+react"),
        ] {
            assert_eq!(TrainedParts::split(loss_scale), (parts, rules), "{loss_scale}");
        }
    }
}
