use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use plugin_chat_templates::ChatTemplates;
use serde_json::Value;
use swift_data::{
    Adapter, AdapterFailure, BatchPlan, Dataset, DatasetSpec, Encoded, Error, IGNORED, LoadOptions, Message,
    Outcome, PieceContent, PlanOptions, RenderOptions, Rendered, RenderedPiece, Renderer, RowColumns, Sample,
    Template, TemplateOptions, Tokenizer, TrainedParts, Unfit,
};
use swift_plugin::Template as _;

/// A file or folder of the golden data.
pub(crate) fn golden(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden")).join(path)
}

pub(crate) fn golden_json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(golden(path)).unwrap()).unwrap()
}

pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::load(&golden("tokenizer")).unwrap()
}

pub(crate) fn template(name: &str) -> Template {
    template_with(name, &tokenizer(), TemplateOptions::default()).unwrap()
}

pub(crate) fn template_with(
    name: &str,
    tokenizer: &Tokenizer,
    options: TemplateOptions,
) -> Result<Template, Error> {
    Template::new(name, vec![Box::new(NativeTemplates::default())], None, tokenizer, options)
}

/// Tokens of one conversation.
pub(crate) trait Encode {
    fn encode(&mut self, messages: &[Message], parts: TrainedParts) -> Result<Encoded, Unfit>;

    fn encode_prompt(&mut self, messages: &[Message]) -> Result<Vec<u32>, Unfit> {
        Ok(self.encode(messages, TrainedParts::None)?.input_ids)
    }
}

impl Encode for Template {
    fn encode(&mut self, messages: &[Message], parts: TrainedParts) -> Result<Encoded, Unfit> {
        let draft = self.draft(messages, RowColumns::default(), parts).unwrap()?;
        self.finisher().finish(draft)
    }
}

/// The standard templates, compiled into the test instead of a component.
#[derive(Default)]
pub(crate) struct NativeTemplates(ChatTemplates);

impl Renderer for NativeTemplates {
    fn name(&self) -> &str {
        "chat-templates"
    }

    fn digest(&self) -> &str {
        "sha256:0"
    }

    fn names(&mut self) -> Result<Vec<String>, AdapterFailure> {
        Ok(self.0.names())
    }

    fn render(
        &mut self,
        name: &str,
        messages: &[Message],
        tools: Option<&Value>,
        options: &RenderOptions,
    ) -> Result<Result<Rendered, Unfit>, AdapterFailure> {
        let messages: Vec<_> = messages
            .iter()
            .cloned()
            .map(|Message { role, content, train, loss_scale }| swift_plugin::Message {
                role,
                content,
                train,
                loss_scale,
            })
            .collect();
        let options = swift_plugin::RenderOptions {
            training: match options.training {
                TrainedParts::None => swift_plugin::Training::None,
                TrainedParts::Answers => swift_plugin::Training::Answers,
                TrainedParts::LastRound => swift_plugin::Training::LastRound,
                TrainedParts::Everything => swift_plugin::Training::Everything,
            },
            system: options.system.clone(),
            enable_thinking: options.enable_thinking,
            preserve_thinking: options.preserve_thinking,
            add_non_thinking_prefix: options.add_non_thinking_prefix,
            response_prefix: options.response_prefix.clone(),
            agent_template: options.agent_template.clone(),
            date: options.date.clone(),
            special_tokens: options.special_tokens.clone(),
        };
        let rendered = self.0.render(name, &messages, tools, &options);
        Ok(rendered.map(native).map_err(|error| Unfit::new(error.message(), "")))
    }
}

fn native(rendered: swift_plugin::Rendered) -> Rendered {
    let content = |content| match content {
        swift_plugin::Content::Text(text) => PieceContent::Text(text),
        swift_plugin::Content::TokenId(id) => PieceContent::TokenId(id),
        swift_plugin::Content::TokenName(name) => PieceContent::TokenName(name),
        swift_plugin::Content::TextBegin => PieceContent::TextBegin,
        swift_plugin::Content::TextEnd => PieceContent::TextEnd,
    };
    let piece = |piece: swift_plugin::Piece| RenderedPiece {
        content: content(piece.content),
        weight: piece.weight,
        answer_to: piece.answer_to,
    };
    Rendered {
        pieces: rendered.pieces.into_iter().map(piece).collect(),
        suffix: rendered.suffix.into_iter().map(content).collect(),
    }
}

pub(crate) fn messages(rows: &Value) -> Vec<Message> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let message = |row: &Value| Message {
        role: text(row, "role"),
        content: text(row, "content"),
        train: row.get("loss").and_then(Value::as_bool),
        loss_scale: row.get("loss_scale").and_then(Value::as_f64),
    };
    rows.as_array().unwrap().iter().map(message).collect()
}

/// Runs of labels as `[start, end]` pairs; checks that each label is the token itself.
pub(crate) fn label_spans(encoded: &Encoded) -> Vec<[usize; 2]> {
    let mut spans: Vec<[usize; 2]> = Vec::new();
    for (index, (id, label)) in encoded.input_ids.iter().zip(encoded.labels()).enumerate() {
        if label == IGNORED {
            continue;
        }
        assert_eq!(label, i64::from(*id));
        match spans.last_mut() {
            Some([_, end]) if *end == index => *end += 1,
            _ => spans.push([index, index + 1]),
        }
    }
    spans
}

pub(crate) fn expect_encoded(encoded: &Encoded, ids: &Value, spans: &Value, what: &str) {
    let ids: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
    let spans: Vec<[usize; 2]> = serde_json::from_value(spans.clone()).unwrap();
    assert_eq!(encoded.input_ids, ids, "{what}");
    assert_eq!(label_spans(encoded), spans, "{what}");
}

/// Reads rows with `messages`, and for pairs `rejected_response` or `rejected_messages`.
pub(crate) struct MessagesAdapter {
    pub(crate) digest: String,
    pub(crate) converted: Rc<Cell<usize>>,
}

impl MessagesAdapter {
    pub(crate) fn new() -> Self {
        Self { digest: "sha256:1".into(), converted: Rc::default() }
    }
}

impl Adapter for MessagesAdapter {
    fn name(&self) -> &str {
        "messages"
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn matches(&mut self, columns: &[String]) -> Result<u32, AdapterFailure> {
        Ok(if columns.iter().any(|name| name == "messages") { 10 } else { 0 })
    }

    fn convert(&mut self, rows: Vec<String>) -> Result<Vec<Outcome>, AdapterFailure> {
        self.converted.set(self.converted.get() + rows.len());
        Ok(rows.iter().map(|row| convert(&serde_json::from_str(row).unwrap())).collect())
    }
}

fn convert(row: &Value) -> Outcome {
    if !row["messages"].is_array() {
        return Outcome::Skipped("it has no messages".into());
    }
    let messages = messages(&row["messages"]);
    let rejected = match (row.get("rejected_response"), row.get("rejected_messages")) {
        (Some(answer), _) => {
            // The answer is everything after the last question.
            let question = messages.iter().rposition(|message| message.role == "user").unwrap();
            let answer = match answer.as_str() {
                Some(text) => vec![Message::new("assistant", text)],
                None => self::messages(answer),
            };
            Some([&messages[..=question], &answer].concat())
        }
        (None, Some(rows)) => Some(self::messages(rows)),
        (None, None) => None,
    };
    let column = |name: &str| Some((name.to_owned(), row.get(name)?.clone()));
    let columns = ["margin", "solution", "tools"].into_iter().filter_map(column).collect();
    Outcome::Sample(Sample { rejected, columns, ..Sample::new(messages) })
}

/// Loads files with [`MessagesAdapter`].
pub(crate) fn load(specs: &[&str], template: &mut Template, options: &LoadOptions) -> Result<Dataset, Error> {
    let specs = specs.iter().map(|spec| spec.parse()).collect::<Result<Vec<DatasetSpec>, _>>()?;
    Dataset::load(&specs, &mut [Box::new(MessagesAdapter::new())], template, options)
}

/// A file with the given text in a folder that lives as long as the first result.
pub(crate) fn file(name: &str, text: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// Rows of a question and an answer each.
pub(crate) fn rows(count: usize) -> String {
    let row = |number: usize| {
        let answer = format!("number {number} of them");
        serde_json::json!({"messages": [{"role": "user", "content": "Which one?"}, {"role": "assistant", "content": answer}]})
    };
    (0..count).map(|number| format!("{}\n", row(number))).collect()
}

/// A plan without shuffling.
pub(crate) fn plan_in_order(
    dataset: &Dataset,
    batch_size: usize,
    gradient_accumulation_steps: usize,
) -> BatchPlan {
    let options = PlanOptions {
        batch_size,
        gradient_accumulation_steps,
        shuffle_dataset: false,
        shuffle: false,
        seed: 42,
        packing: None,
    };
    BatchPlan::new(dataset, options).unwrap()
}
