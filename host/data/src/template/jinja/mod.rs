//! The model's own chat template, with what is trained on found by rendering.

mod conversation;
mod environment;
mod filters;
mod json;
mod methods;
mod python;
mod shown;
mod source;

use std::sync::Arc;

use minijinja::Environment;
use minijinja::value::Value;
use serde_json::Map;

use crate::encode::Piece;
use crate::error::{Error, Result};
use crate::rows::Message;
use crate::template::{RowColumns, TemplateOptions, TrainedParts, Unfit};
use crate::tokenizer::Tokenizer;
use conversation::{Conversation, Turn};

/// Stands after each answer in a rendering that is made to find where answers end. It is made of a character that
/// Unicode reserves for such uses, so no template and no text has it by accident.
const MARK: &str = "\u{FDD0}\u{FDD0}";

pub(super) const NAME: &str = "chat_template";

/// Variables that no `chat_template_kwargs` may set: the conversation itself.
const RESERVED: [&str; 3] = ["messages", "tools", "add_generation_prompt"];

/// A Jinja template as `transformers` renders it.
#[derive(Clone, Debug)]
pub(super) struct JinjaTemplate {
    pub(super) environment: Arc<Environment<'static>>,
    source: String,
    pub(super) tokenizer: Tokenizer,
    pub(super) system: Option<String>,
    pub(super) variables: Map<String, serde_json::Value>,
}

/// A row's conversation and what else the template sees, to be rendered as a whole and in parts.
pub(super) struct Scene<'a> {
    template: &'a JinjaTemplate,
    conversation: Conversation,
    variables: Value,
}

impl JinjaTemplate {
    pub(super) fn new(source: &str, tokenizer: &Tokenizer, options: &TemplateOptions) -> Result<Self> {
        let mut environment = environment::environment(options.now);
        environment
            .add_template_owned(NAME, source::as_minijinja_reads_it(source))
            .map_err(|error| Error::TemplateInvalid(error.to_string()))?;
        let mut variables = Map::new();
        let thinking =
            [("enable_thinking", options.enable_thinking), ("preserve_thinking", options.preserve_thinking)];
        for (name, thinking) in thinking {
            variables.extend(thinking.map(|thinking| (name.to_owned(), thinking.into())));
        }
        variables.extend(options.chat_template_kwargs.clone());
        if let Some(name) = reserved(&variables) {
            let message = format!("must not set `{name}`, which is the conversation");
            return Err(Error::InvalidOption { option: "chat-template-kwargs", message });
        }
        Ok(Self {
            environment: Arc::new(environment),
            source: source.to_owned(),
            tokenizer: tokenizer.clone(),
            system: options.system.clone(),
            variables,
        })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn asks_for_the_time(&self) -> bool {
        self.source.contains("strftime_now")
    }

    /// What there is to render of a row.
    pub(super) fn scene(&self, messages: &[Message], columns: RowColumns<'_>) -> Result<Scene<'_>, Unfit> {
        let conversation = Conversation::new(messages, self.system.as_deref())?;
        let tools = columns.tools.map(conversation::tools).transpose()?.filter(|tools| !tools.is_empty());
        let mut variables: Map<String, serde_json::Value> = Map::new();
        for (name, text) in self.tokenizer.special_tokens() {
            variables.insert(name.into(), text.into());
        }
        // `transformers` always passes tools and documents.
        variables.insert("documents".into(), serde_json::Value::Null);
        variables.extend(self.variables.clone());
        let own = columns.chat_template_kwargs()?;
        if let Some(name) = own.and_then(reserved) {
            return Err(Unfit::new(
                "`chat_template_kwargs` sets what the conversation is",
                format!("`{name}`"),
            ));
        }
        variables.extend(own.cloned().unwrap_or_default());
        variables.insert("tools".into(), tools.into());
        Ok(Scene { template: self, conversation, variables: Value::from_serialize(variables) })
    }
}

fn reserved(variables: &Map<String, serde_json::Value>) -> Option<&'static str> {
    RESERVED.into_iter().find(|name| variables.contains_key(*name))
}

impl Scene<'_> {
    /// The text up to where the next answer begins; a last answer is rendered as it stands.
    pub(super) fn prompt(&self) -> Result<String, Unfit> {
        self.render(&self.conversation.turns, !self.conversation.ends_with_answer())
    }

    /// The rendered conversation, cut where training begins and ends.
    ///
    /// An answer begins where the prompt for it ends: the rendering of the messages before it, with the generation prompt,
    /// as far as the whole rendering agrees with it. It ends where its text ends in the whole rendering, and takes along
    /// what follows the last word of a rendering that ends with it, as far as that follows here too: the rest of its calls,
    /// and the token that ends a turn.
    pub(super) fn pieces(&self, parts: TrainedParts) -> Result<Vec<Piece>, Unfit> {
        let turns = self.conversation.turns.as_slice();
        let whole = self.render(turns, false)?;
        if parts == TrainedParts::Everything {
            return Ok(vec![Piece::text(whole, 1.0)]);
        }
        let answers = self.conversation.answers()?;
        let ends = self.ends(&whole, answers.len())?;
        let is_text =
            |(index, _): &&(usize, _)| turns.get(*index).is_some_and(|turn| turn.tool_calls.is_empty());
        let closing = answers.iter().rfind(is_text).map(|(index, _)| self.closing(*index)).transpose()?;
        let closing = closing.unwrap_or_default();

        let mut pieces = Vec::new();
        let mut done = 0;
        let last = answers.len().saturating_sub(1);
        for (number, (&(index, said), end)) in answers.iter().zip(ends).enumerate() {
            let (before, turn) = (turns.get(..index).unwrap_or_default(), turns.get(index));
            let prompt = self.render(before, true)?;
            let start = self.shared(&prompt, &whole)?;
            // Were the questions rendered otherwise, the prompt would seem to end within them.
            let asked_alike = start >= self.shared(&self.render(before, false)?, &prompt)?;

            let trailing = turn.map(Turn::trailing).unwrap_or_default();
            let own_closing = match turn {
                Some(turn) if !turn.tool_calls.is_empty() => Some(self.closing(index)?),
                _ => None,
            };
            let closing = own_closing.as_deref().unwrap_or(&closing);
            let rest = whole.get(end..).unwrap_or_default();
            let trimmed = self.shared(closing, rest)?;
            let end = match rest.strip_prefix(trailing) {
                Some(rest) => end + trimmed.max(trailing.len() + self.shared(closing, rest)?),
                None => end + trimmed,
            };
            let (true, Some(before), Some(text)) =
                (asked_alike, whole.get(done..start), whole.get(start..end))
            else {
                return Err(Unfit::new("the chat template renders prompts and answers differently", ""));
            };
            pieces.push(Piece::text(before, 0.0));
            pieces.push(Piece::text(text, parts.weight(said, number == last)));
            done = end;
        }
        pieces.push(Piece::text(whole.get(done..).unwrap_or_default(), 0.0));
        Ok(pieces)
    }

    /// Where the last words of the answers end in the whole rendering, white space at their ends aside.
    fn ends(&self, whole: &str, count: usize) -> Result<Vec<usize>, Unfit> {
        let turns = self.conversation.turns.iter();
        let marked: Vec<Turn> = turns
            .map(|turn| match turn.role {
                conversation::Role::Assistant => turn.marked(MARK),
                _ => turn.clone(),
            })
            .collect();
        let marked = self.render(&marked, false)?;
        let mut end = 0;
        let mut ends: Vec<usize> = marked
            .split(MARK)
            .map(|segment| {
                end += segment.len();
                end
            })
            .collect();
        // The last segment is what follows the last answer.
        ends.pop();
        if ends.len() != count || marked.replace(MARK, "") != whole {
            return Err(Unfit::new(
                "the chat template changes the answers, so that they cannot be found",
                "",
            ));
        }
        Ok(ends)
    }

    /// What follows the last word of an answer in a conversation that ends with it.
    fn closing(&self, index: usize) -> Result<String, Unfit> {
        let mut turns = self.conversation.turns.get(..=index).unwrap_or_default().to_vec();
        if let Some(answer) = turns.last_mut() {
            answer.content.truncate(answer.content.trim_end().len());
            *answer = answer.marked(MARK);
        }
        let rendered = self.render(&turns, false)?;
        Ok(rendered.rsplit(MARK).next().unwrap_or_default().to_owned())
    }

    /// Bytes that `whole` begins with of `text`: all of it, or as many whole tokens as they have in common.
    fn shared(&self, text: &str, whole: &str) -> Result<usize, Unfit> {
        let shared = text.bytes().zip(whole.bytes()).take_while(|(left, right)| left == right).count();
        if shared == text.len() {
            return Ok(shared);
        }
        let is_border = |end: &usize| *end <= shared && text.is_char_boundary(*end);
        Ok(self.template.tokenizer.token_ends(text)?.into_iter().filter(is_border).max().unwrap_or(0))
    }

    fn render(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<String, Unfit> {
        let refused = |error: minijinja::Error| {
            let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Unfit::new("the chat template refuses the conversation", detail)
        };
        let variables = self.variables.clone();
        let values = minijinja::context! { messages => turns, add_generation_prompt, ..variables };
        let environment = &self.template.environment;
        environment.get_template(NAME).and_then(|template| template.render(values)).map_err(refused)
    }
}
