use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;
use swift_data::{
    Adapter, AdapterFailure, BatchPlan, Dataset, DatasetSpec, Encoded, Error, IGNORED, LoadOptions, Message,
    Outcome, PlanOptions, Sample, Template, TemplateOptions, Tokenizer,
};

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
    Template::new(Some(name), &tokenizer(), TemplateOptions::default()).unwrap()
}

pub(crate) fn messages(rows: &Value) -> Vec<Message> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let message = |row: &Value| Message {
        role: text(row, "role"),
        content: text(row, "content"),
        train: row.get("loss").and_then(Value::as_bool),
        loss_scale: None,
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
        (Some(text), _) => {
            let mut rejected = messages.clone();
            rejected.pop();
            rejected.push(Message::new("assistant", text.as_str().unwrap()));
            Some(rejected)
        }
        (None, Some(rows)) => Some(self::messages(rows)),
        (None, None) => None,
    };
    let margin = row.get("margin").map(|value| ("margin".to_owned(), value.clone()));
    Outcome::Sample(Sample { rejected, columns: margin.into_iter().collect(), ..Sample::new(messages) })
}

/// Loads files with [`MessagesAdapter`].
pub(crate) fn load(specs: &[&str], template: &Template, options: &LoadOptions) -> Result<Dataset, Error> {
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
