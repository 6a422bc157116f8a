//! From a conversation to tokens, with what is trained on.

mod columns;
mod jinja;
mod options;
mod pieces;
mod prompt;
mod renderer;

use crate::digest::digest;
use crate::encode::tokenize;
use crate::error::{Error, Result};
use crate::rows::{Encoded, Message};
use crate::tokenizer::Tokenizer;
use jinja::JinjaTemplate;

pub use columns::RowColumns;
pub use options::{TemplateOptions, TrainedParts};
pub use pieces::{PieceContent, Rendered, RenderedPiece};
pub use renderer::{RenderOptions, Renderer, Weigher};

/// Name of the template that renders the model's own `chat_template`.
const JINJA: &str = "jinja";

/// How conversations become tokens: as a plugin or the model's own chat template says.
pub struct Template {
    name: String,
    /// Who renders; nobody if it is the model's own.
    plugins: Option<Plugins>,
    options: TemplateOptions,
    finisher: Finisher,
}

struct Plugins {
    renderer: Box<dyn Renderer>,
    weigher: Option<Box<dyn Weigher>>,
}

/// Makes tokens of drafts, in any number of threads: no plugin takes part in it.
#[derive(Clone)]
pub struct Finisher {
    tokenizer: Tokenizer,
    jinja: Option<JinjaTemplate>,
}

/// A conversation on its way to tokens.
pub struct Draft(Stage);

enum Stage {
    Rendered(Rendered),
    /// For the model's own chat template, which renders in any thread.
    Conversation(Box<Conversation>),
}

/// A row's conversation as it stands, and what the row says of it.
struct Conversation {
    messages: Vec<Message>,
    tools: Option<serde_json::Value>,
    chat_template_kwargs: Option<serde_json::Value>,
    parts: TrainedParts,
}

/// Why a row cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}{detail}", if detail.is_empty() { "" } else { ": " })]
pub struct Unfit {
    /// Common to all such rows; they are counted by it.
    pub reason: String,
    /// What it is in this row; may be empty.
    pub detail: String,
}

impl Unfit {
    /// For a reason, and what it is in this row.
    pub fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::new("the row cannot be tokenised", error.to_string())
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Template {
    /// The model's own chat template.
    ///
    /// # Errors
    /// There is none, it is not valid, or an option is for templates by name.
    pub fn of_model(tokenizer: &Tokenizer, options: TemplateOptions) -> Result<Self> {
        let foreign = [
            ("agent-template", options.agent_template.is_some()),
            ("response-prefix", options.response_prefix.is_some()),
        ];
        if let Some((option, _)) = foreign.into_iter().find(|(_, is_given)| *is_given) {
            let message = "is for templates by name and not for the model's own".into();
            return Err(Error::InvalidOption { option, message });
        }
        let source = tokenizer.chat_template().ok_or(Error::TemplateMissing)?;
        let jinja = Some(JinjaTemplate::new(source, tokenizer, &options)?);
        let finisher = Finisher { tokenizer: tokenizer.clone(), jinja };
        Ok(Self { name: JINJA.into(), plugins: None, options, finisher })
    }

    /// The template `name`, or the model's own if that is `jinja`: the first of `renderers` that has it renders, and
    /// `weigher` says which words of answers weigh how much.
    ///
    /// # Errors
    /// No renderer has it, a renderer fails, or the model's own is to be weighed.
    pub fn new(
        name: &str,
        renderers: Vec<Box<dyn Renderer>>,
        weigher: Option<Box<dyn Weigher>>,
        tokenizer: &Tokenizer,
        options: TemplateOptions,
    ) -> Result<Self> {
        if name == JINJA {
            return match weigher {
                None => Self::of_model(tokenizer, options),
                Some(_) => Err(Error::InvalidOption {
                    option: "loss-scale",
                    message: "has rules, which are for templates by name and not for the model's own".into(),
                }),
            };
        }
        let mut known = Vec::new();
        for mut renderer in renderers {
            let names = renderer.names().map_err(Error::template(renderer.name()))?;
            if names.iter().any(|known| known == name) {
                let set = RenderOptions::new(&options, tokenizer, TrainedParts::None)
                    .set(&options.chat_template_kwargs);
                set.map_err(|message| Error::InvalidOption { option: "chat-template-kwargs", message })?;
                let plugins = Some(Plugins { renderer, weigher });
                let finisher = Finisher { tokenizer: tokenizer.clone(), jinja: None };
                return Ok(Self { name: name.into(), plugins, options, finisher });
            }
            known.extend(names);
        }
        known.push(JINJA.into());
        Err(Error::TemplateUnknown { name: name.into(), known })
    }

    /// The template's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tokeniser.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.finisher.tokenizer
    }

    /// What makes tokens of its drafts.
    pub fn finisher(&self) -> &Finisher {
        &self.finisher
    }

    /// Names of the plugins that take part in it.
    pub fn plugins(&self) -> Vec<String> {
        let names = self.plugins.iter().flat_map(|Plugins { renderer, weigher }| {
            [renderer.name()].into_iter().chain(weigher.iter().map(|weigher| weigher.name()))
        });
        names.map(str::to_owned).collect()
    }

    /// Digest of everything that tokens depend on: the template, its options, and the tokeniser.
    pub fn digest(&self) -> String {
        let (definition, tells_time) = match (&self.plugins, &self.finisher.jinja) {
            (Some(Plugins { renderer, weigher }), _) => {
                let weigher = weigher.as_ref().map(|weigher| weigher.digest());
                (format!("{} {weigher:?}", renderer.digest()), true)
            }
            (None, Some(jinja)) => (jinja.source().to_owned(), jinja.asks_for_the_time()),
            (None, None) => (String::new(), false),
        };
        let options =
            TemplateOptions { now: self.options.now.filter(|_| tells_time), ..self.options.clone() };
        let options = format!("{options:?}");
        digest([
            self.name.as_bytes(),
            definition.as_bytes(),
            options.as_bytes(),
            self.tokenizer().digest().as_bytes(),
        ])
    }

    /// Begins to make tokens of a conversation, of which `parts` are trained on; nothing makes it a prompt. `columns` are what
    /// its row says besides. The inner error says why it cannot be used.
    ///
    /// # Errors
    /// A plugin fails.
    pub fn draft(
        &mut self,
        messages: &[Message],
        columns: RowColumns<'_>,
        parts: TrainedParts,
    ) -> Result<Result<Draft, Unfit>> {
        if messages.is_empty() {
            return Ok(Err(Unfit::new("the conversation has no messages", "")));
        }
        if parts != TrainedParts::None && !ends_with_answer(messages) {
            return Ok(Err(Unfit::new("the conversation does not end with an answer", "")));
        }
        let Some(Plugins { renderer, weigher }) = &mut self.plugins else {
            let conversation = Conversation {
                messages: messages.to_vec(),
                tools: columns.tools.cloned(),
                chat_template_kwargs: columns.chat_template_kwargs.cloned(),
                parts,
            };
            return Ok(Ok(Draft(Stage::Conversation(Box::new(conversation)))));
        };
        let mut options = RenderOptions::new(&self.options, &self.finisher.tokenizer, parts);
        let given = columns.chat_template_kwargs().and_then(|given| match given {
            Some(given) => options.set(given).map_err(|detail| {
                Unfit::new("the template does not read all of `chat_template_kwargs`", detail)
            }),
            None => Ok(()),
        });
        if let Err(unfit) = given {
            return Ok(Err(unfit));
        }
        let rendered = renderer.render(&self.name, messages, columns.tools, &options);
        let mut rendered = match rendered.map_err(Error::template(renderer.name()))? {
            Ok(rendered) => rendered,
            Err(unfit) => return Ok(Err(unfit)),
        };
        if let Some(weigher) = weigher {
            let failed = Error::template(weigher.name());
            rendered.weigh(&mut **weigher).map_err(failed)?;
        }
        Ok(Ok(Draft(Stage::Rendered(rendered))))
    }
}

impl Finisher {
    /// The tokens of a draft, with what each weighs in the loss.
    ///
    /// # Errors
    /// Why the conversation cannot be used.
    pub fn finish(&self, draft: Draft) -> Result<Encoded, Unfit> {
        let (conversation, jinja) = match (draft.0, &self.jinja) {
            (Stage::Rendered(rendered), _) => return rendered.tokenize(&self.tokenizer),
            (Stage::Conversation(conversation), Some(jinja)) => (conversation, jinja),
            (Stage::Conversation(_), None) => {
                return Err(Unfit::new("the draft is of another template", ""));
            }
        };
        let Conversation { messages, tools, chat_template_kwargs, parts } = *conversation;
        let columns =
            RowColumns { tools: tools.as_ref(), chat_template_kwargs: chat_template_kwargs.as_ref() };
        let scene = jinja.scene(&messages, columns)?;
        if parts == TrainedParts::None {
            let input_ids = self.tokenizer.encode(&scene.prompt()?)?;
            return Ok(Encoded { weights: vec![0.0; input_ids.len()], input_ids });
        }
        Ok(tokenize(&self.tokenizer, scene.pieces(parts)?, &[])?)
    }
}

/// Whether the last word is the model's.
pub(crate) fn ends_with_answer(messages: &[Message]) -> bool {
    messages.last().is_some_and(|message| ["assistant", "tool_call"].contains(&message.role.as_str()))
}
