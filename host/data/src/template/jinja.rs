//! The model's own chat template, with what is trained on found by rendering.

use std::sync::Arc;

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, ErrorKind, context};
use serde::Serialize;

use crate::encode::Piece;
use crate::error::{Error, Result};
use crate::template::chat::{Conversation, Turn};
use crate::template::options::Said;
use crate::template::{TemplateOptions, TrainedParts, Unfit};
use crate::tokenizer::Tokenizer;

/// Stands after each answer in a rendering that is made to find where answers end. It is made of a character that
/// Unicode reserves for such uses, so no template and no text has it by accident.
const MARK: &str = "\u{FDD0}\u{FDD0}";

const NAME: &str = "chat_template";

/// A Jinja template as `transformers` renders it.
#[derive(Clone, Debug)]
pub(super) struct JinjaTemplate {
    environment: Arc<Environment<'static>>,
    source: String,
    tokenizer: Tokenizer,
    system: Option<String>,
    enable_thinking: Option<bool>,
}

/// What a template sees of a message.
#[derive(Clone, Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

/// A role, and what it says.
type Text = (&'static str, String);

/// An assistant turn as the template sees it.
struct Answer<'a> {
    /// Index of its message.
    index: usize,
    said: Said,
    /// White space at its end, which templates may trim.
    trailing: &'a str,
}

impl JinjaTemplate {
    pub(super) fn new(source: &str, tokenizer: &Tokenizer, options: &TemplateOptions) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
        environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        let now = options.now;
        environment.add_function("strftime_now", move |format: String| {
            let now =
                now.ok_or_else(|| minijinja::Error::new(ErrorKind::InvalidOperation, "no date is given"))?;
            jiff::fmt::strtime::format(&format, now)
                .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
        });
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .map_err(|error| Error::TemplateInvalid(error.to_string()))?;
        Ok(Self {
            environment: Arc::new(environment),
            source: source.to_owned(),
            tokenizer: tokenizer.clone(),
            system: options.system.clone(),
            enable_thinking: options.enable_thinking,
        })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn asks_for_the_time(&self) -> bool {
        self.source.contains("strftime_now")
    }

    /// The text up to where the next answer begins; a last answer is rendered as it stands.
    pub(super) fn prompt(&self, conversation: &Conversation) -> Result<String, Unfit> {
        let texts = self.texts(conversation, "");
        self.render(&as_messages(&texts), !conversation.ends_with_answer())
    }

    /// The rendered conversation, cut where training begins and ends.
    ///
    /// An answer begins where the prompt for it ends: the rendering of the messages before it, with the generation prompt,
    /// as far as the whole rendering agrees with it. It ends where its text ends in the whole rendering, and takes along
    /// what follows the last answer, as far as that follows it too: the token that ends a turn.
    pub(super) fn pieces(
        &self,
        conversation: &Conversation,
        parts: TrainedParts,
    ) -> Result<Vec<Piece>, Unfit> {
        let texts = self.texts(conversation, "");
        let messages = as_messages(&texts);
        let whole = self.render(&messages, false)?;
        if parts == TrainedParts::Everything {
            return Ok(vec![Piece::text(whole, 1.0)]);
        }
        let answers = answers(&texts, conversation)?;
        let ends = self.ends(conversation, &whole, answers.len())?;
        let closing = self.closing(&texts)?;

        let mut pieces = Vec::new();
        let mut done = 0;
        let last = answers.len().saturating_sub(1);
        for (number, (answer, end)) in answers.iter().zip(ends).enumerate() {
            let before = messages.get(..answer.index).unwrap_or_default();
            let prompt = self.render(before, true)?;
            let start = self.shared(&prompt, &whole)?;
            // Were the questions rendered otherwise, the prompt would seem to end within them.
            let asked_alike = start >= self.shared(&self.render(before, false)?, &prompt)?;

            let rest = whole.get(end..).unwrap_or_default();
            let trimmed = self.shared(&closing, rest)?;
            let end = match rest.strip_prefix(answer.trailing) {
                Some(rest) => end + trimmed.max(answer.trailing.len() + self.shared(&closing, rest)?),
                None => end + trimmed,
            };
            let (true, Some(before), Some(text)) =
                (asked_alike, whole.get(done..start), whole.get(start..end))
            else {
                return Err(Unfit::new("the chat template renders prompts and answers differently", ""));
            };
            pieces.push(Piece::text(before, 0.0));
            pieces.push(Piece::text(text, parts.weight(answer.said, number == last)));
            done = end;
        }
        pieces.push(Piece::text(whole.get(done..).unwrap_or_default(), 0.0));
        Ok(pieces)
    }

    /// Where the answers end in the whole rendering, white space at their ends aside.
    fn ends(&self, conversation: &Conversation, whole: &str, count: usize) -> Result<Vec<usize>, Unfit> {
        let marked = self.render(&as_messages(&self.texts(conversation, MARK)), false)?;
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

    /// What follows the last answer.
    fn closing(&self, texts: &[Text]) -> Result<String, Unfit> {
        let mut marked = texts.to_vec();
        if let Some((_, answer)) = marked.last_mut() {
            answer.truncate(answer.trim_end().len());
            answer.push_str(MARK);
        }
        let rendered = self.render(&as_messages(&marked), false)?;
        Ok(rendered.rsplit(MARK).next().unwrap_or_default().to_owned())
    }

    /// Bytes that `whole` begins with of `text`: all of it, or as many whole tokens as they have in common.
    fn shared(&self, text: &str, whole: &str) -> Result<usize, Unfit> {
        let shared = text.bytes().zip(whole.bytes()).take_while(|(left, right)| left == right).count();
        if shared == text.len() {
            return Ok(shared);
        }
        let is_border = |end: &usize| *end <= shared && text.is_char_boundary(*end);
        Ok(self.tokenizer.token_ends(text)?.into_iter().filter(is_border).max().unwrap_or(0))
    }

    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, Unfit> {
        let refused = |error: minijinja::Error| {
            let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Unfit::new("the chat template refuses the conversation", detail)
        };
        let tokens = self.tokenizer.special_tokens().map(|(name, text)| (name, Value::from(text)));
        let thinking = self.enable_thinking.map(|enabled| ("enable_thinking", Value::from(enabled)));
        let named = Value::from_iter(tokens.chain(thinking));
        // `transformers` always passes tools and documents.
        let values = context! { messages, add_generation_prompt, tools => (), documents => (), ..named };
        self.environment.get_template(NAME).and_then(|template| template.render(values)).map_err(refused)
    }

    /// Role and text of every message. `mark` follows the last character of each answer that is not white space, for
    /// templates may trim it.
    fn texts(&self, conversation: &Conversation, mark: &str) -> Vec<Text> {
        let system = conversation.system.clone().or_else(|| self.system.clone());
        let turns = conversation.turns.iter().map(|turn| match turn {
            Turn::User(text) => ("user", text.clone()),
            Turn::Assistant(answers) => {
                let mut text: String = answers.iter().map(|answer| answer.text.as_str()).collect();
                text.insert_str(text.trim_end().len(), mark);
                ("assistant", text)
            }
        });
        system.map(|text| ("system", text)).into_iter().chain(turns).collect()
    }
}

fn as_messages(texts: &[Text]) -> Vec<Message<'_>> {
    texts.iter().map(|(role, content)| Message { role, content }).collect()
}

fn answers<'a>(texts: &'a [Text], conversation: &Conversation) -> Result<Vec<Answer<'a>>, Unfit> {
    let first_turn = texts.len() - conversation.turns.len();
    let turns = conversation.turns.iter().zip(texts.iter().enumerate().skip(first_turn));
    turns
        .filter_map(|(turn, (index, (_, text)))| match turn {
            Turn::User(_) => None,
            Turn::Assistant(answers) => Some((index, text, answers)),
        })
        .map(|(index, text, answers)| {
            let said = answers.first().map(|answer| answer.said).unwrap_or_default();
            if answers.iter().any(|answer| answer.said != said) {
                return Err(Unfit::new("answers in a row differ in whether they are trained on", ""));
            }
            Ok(Answer { index, said, trailing: text.get(text.trim_end().len()..).unwrap_or_default() })
        })
        .collect()
}

/// The template with `{% generation %}` .. `{% endgeneration %}`, which mark answers for `transformers`, as conditions that
/// always hold: their contents are rendered all the same.
fn without_generation_tags(source: &str) -> String {
    let mut parts = source.split("{%");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push_str("{%");
        let (tag, rest) = part.split_once("%}").unwrap_or((part, ""));
        let replaced = match tag.trim_matches(['-', '+', ' ', '\n']) {
            "generation" => tag.replace("generation", "if true"),
            "endgeneration" => tag.replace("endgeneration", "endif"),
            _ => tag.to_owned(),
        };
        result.push_str(&replaced);
        if tag.len() < part.len() {
            result.push_str("%}");
            result.push_str(rest);
        }
    }
    result
}

/// `tojson` as `transformers` defines it: Python's `json.dumps` without escaping what is not ASCII.
fn to_json(value: Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let mut bytes = Vec::new();
    let failed =
        |error: serde_json::Error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string());
    match indent {
        Some(width) => {
            let indent = " ".repeat(width);
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value
                .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
                .map_err(failed)?;
        }
        None => {
            value
                .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Spaced))
                .map_err(failed)?;
        }
    }
    String::from_utf8(bytes)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// JSON on one line with a space after each comma and colon.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}
