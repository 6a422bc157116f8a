//! Dataset adapters: rows become what ms-swift makes of them.

use serde_json::{Map, Value, json};
use swift_runtime::{DatasetPlugin, Limits, Message, Outcome, Sample};

use crate::plugin;

const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/datasets.json"));

/// Rows with two columns that mean the same and neither of the usual name. ms-swift renames none of them, so the question or
/// the answer is lost without a word, and what is left is trained on. Which is meant cannot be known; what is said here instead.
const REFUSED: [(&str, &str); 2] = [
    ("two_query_columns", "columns `prompt` and `question` mean the same; rename one to `query`"),
    ("two_response_columns", "columns `answer` and `output` mean the same; rename one to `response`"),
];

/// Columns that no trainer of ms-swift's own reads, so it removes them unless told otherwise. Here they stay, for losses
/// and rewards may read them.
const UNUSED: [&str; 4] = ["id", "source", "question", "solution"];

/// Columns whose messages have a place of their own in samples.
const CONVERSATIONS: [&str; 5] =
    ["messages", "rejected_response", "rejected_messages", "positive_messages", "negative_messages"];

/// What an adapter makes of a row, or ms-swift, in one form.
fn shown(
    messages: Value,
    rejected: Value,
    positives: Value,
    negatives: Value,
    columns: Map<String, Value>,
) -> Value {
    json!({
        "messages": messages, "rejected": rejected, "positives": positives, "negatives": negatives, "columns": columns
    })
}

/// A tool call by what it says, not by how it is spaced.
fn message(role: &str, content: &str, train: Value, loss_scale: Value) -> Value {
    let content = match serde_json::from_str(content) {
        Ok(call @ Value::Object(_)) if role == "tool_call" => call,
        _ => json!(content),
    };
    json!({"role": role, "content": content, "loss": train, "loss_scale": loss_scale})
}

fn actual(sample: &Sample, keeps_unused: bool) -> Value {
    let messages = |messages: &Vec<Message>| -> Value {
        let shown = messages.iter().map(|Message { role, content, train, loss_scale }| {
            message(role, content, json!(train), json!(loss_scale))
        });
        shown.collect()
    };
    let columns = sample.columns.iter().filter(|(name, _)| keeps_unused || !UNUSED.contains(&name.as_str()));
    shown(
        messages(&sample.messages),
        sample.rejected.as_ref().map_or(Value::Null, messages),
        sample.positives.iter().map(messages).collect(),
        sample.negatives.iter().map(messages).collect(),
        columns.map(|(name, value)| (name.clone(), serde_json::from_str(value).unwrap())).collect(),
    )
}

/// A row of ms-swift's in the same form. What it leaves to the template is done here: `tool` is another name for
/// `tool_response`, and images inside of contents are marks in the text and a column. A number as an answer is its text.
fn expected(row: &Value) -> Value {
    let mut columns = row.as_object().unwrap().clone();
    columns.retain(|name, _| !CONVERSATIONS.contains(&name.as_str()));
    let mut images = Vec::new();
    let mut part = |part: &Value| match part["type"].as_str().unwrap() {
        "text" => part["text"].as_str().unwrap().to_owned(),
        "image_url" => {
            images.push(json!({"bytes": null, "path": part["image_url"]["url"]}));
            "<image>".to_owned()
        }
        kind => panic!("{kind}"),
    };
    let mut content = |content: &Value| match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(&mut part).collect(),
        other => other.to_string(),
    };
    let mut messages = |messages: &Value| -> Value {
        let turns = messages.as_array().unwrap().iter();
        let shown = turns.map(|turn| {
            let role = turn["role"].as_str().map(|role| if role == "tool" { "tool_response" } else { role });
            message(
                role.unwrap(),
                &content(&turn["content"]),
                turn["loss"].clone(),
                turn["loss_scale"].clone(),
            )
        });
        shown.collect()
    };
    let own = messages(&row["messages"]);
    let rejected = match (&row["rejected_response"], &row["rejected_messages"]) {
        (Value::Null, Value::Null) => Value::Null,
        (Value::Null, whole) => messages(whole),
        (answer, _) => {
            let answer = match answer {
                Value::Array(_) => messages(answer)[0].clone(),
                answer => message("assistant", answer.as_str().unwrap(), Value::Null, Value::Null),
            };
            let mut whole = own.clone();
            *whole.as_array_mut().unwrap().last_mut().unwrap() = answer;
            whole
        }
    };
    let mut several =
        |name: &str| -> Value { row[name].as_array().into_iter().flatten().map(&mut messages).collect() };
    let (positives, negatives) = (several("positive_messages"), several("negative_messages"));
    if !images.is_empty() {
        columns.insert("images".into(), Value::Array(images));
    }
    shown(own, rejected, positives, negatives, columns)
}

/// What the adapter makes of rows that reads them best, as the host picks it; nothing, if none reads them.
fn converted(adapters: &mut [DatasetPlugin], rows: &[Value]) -> Vec<Outcome> {
    let mut columns: Vec<String> =
        rows.iter().flat_map(|row| row.as_object().unwrap().keys().cloned()).collect();
    columns.dedup();
    let ranked = adapters.iter_mut().map(|adapter| (adapter.matches(&columns).unwrap(), adapter));
    let best = ranked.filter(|(rank, _)| *rank > 0).max_by_key(|(rank, _)| *rank);
    let texts: Vec<String> = rows.iter().map(Value::to_string).collect();
    best.map_or_else(Vec::new, |(_, adapter)| adapter.convert(&texts).unwrap())
}

#[test]
fn rows_become_what_ms_swift_makes_of_them() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let mut adapters =
        ["alpaca", "messages", "preference"].map(|name| plugin(name).dataset(&Limits::default()).unwrap());
    let (mut same, mut refused, mut of_the_host) = (0, 0, 0);
    for case in golden["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let options = &case["options"];
        // Other files than JSON, and renamed columns: the host's own tests have them.
        let Some(rows) = case["rows"].as_array().filter(|_| options.get("columns").is_none()) else {
            of_the_host += 1;
            continue;
        };
        let outcomes = converted(&mut adapters, rows);
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            assert_eq!(outcomes, [Outcome::Skipped((*reason).into())], "{name}");
            refused += 1;
            continue;
        }
        let keeps_unused = options["remove_unused_columns"] == json!(false);
        let samples: Vec<Value> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Sample(sample) => Some(actual(sample, keeps_unused)),
                Outcome::Skipped(_) => None,
            })
            .collect();
        // Without a result ms-swift has stopped, for no row is left.
        let results: Vec<Value> = case["result"].as_array().into_iter().flatten().map(expected).collect();
        assert_eq!(samples, results, "{name}: {outcomes:?}");
        same += 1;
    }
    println!("{same} cases the same, {refused} refused, {of_the_host} of files and renamed columns");
    assert_eq!((same, refused, of_the_host), (94, REFUSED.len(), 6));
}
