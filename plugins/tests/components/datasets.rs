//! Dataset adapters: rows become what ms-swift makes of them, or are left out with a reason.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use swift_runtime::{DatasetPlugin, Limits, Message, Outcome, Sample};

use crate::plugin;

const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/datasets.json"));

/// Cases where ms-swift does something else, and what is said here instead.
const DIFFERENT: [(&str, &str); 26] = [
    // Not text: later.
    ("images_list", "column `images` is not supported"),
    ("image_string", "column `image` is not supported"),
    ("images_two", "column `images` is not supported"),
    ("images_dict", "column `images` is not supported"),
    ("video_audio", "column `video` is not supported"),
    ("grounding", "column `images` is not supported"),
    ("grounding_point_norm1", "column `images` is not supported"),
    ("grounding_bad_bbox", "column `objects` is not supported"),
    ("messages_content_parts", "content of type `image_url` is not supported"),
    // Samples have no place for it.
    ("messages_tool_roles", "column `tools` is not supported"),
    ("tools_json_string", "column `tools` is not supported"),
    ("tools_list_of_dicts", "column `tools` is not supported"),
    ("tools_single_dict", "column `tools` is not supported"),
    ("tools_plain_text", "column `tools` is not supported"),
    ("tools_list_of_strings", "column `tools` is not supported"),
    ("hetero_tools", "column `tools` is not supported"),
    ("openai_tool_calls", "`tool_calls` of a message are not supported"),
    ("openai_tool_calls_text_parallel", "`tool_calls` of a message are not supported"),
    ("anthropic_tool_use", "content of type `tool_use` is not supported"),
    ("chat_template_kwargs", "column `chat_template_kwargs` is not supported"),
    ("messages_loss_flags", "`loss_scale` of a message is 0.5, not 0 or 1"),
    // Python's literals are not JSON.
    ("messages_python_string", "the conversation is text, and not a list in JSON"),
    ("query_response_history_string", "`history` is text, and not a list in JSON"),
    // ms-swift takes the first answer, or loses one of the columns.
    ("response_list", "the answer is a list of 2, not one text"),
    ("two_query_columns", "columns `prompt` and `question` mean the same; rename one to `query`"),
    ("two_response_columns", "columns `answer` and `output` mean the same; rename one to `response`"),
];

/// Cases of rows that no loss of this version can be trained on: prompts without an answer, and other tasks.
const UNTRAINABLE: [&str; 7] = [
    "messages_prompt_only",
    "messages_bad_string",
    "query_only",
    "cls_label_int",
    "cls_label_list",
    "cls_label_float",
    "embedding",
];

/// The adapter that says it reads the columns best, as the host picks it.
fn adapter<'a>(adapters: &'a mut [DatasetPlugin], row: &Value) -> Option<&'a mut DatasetPlugin> {
    let columns: Vec<String> = row.as_object().unwrap().keys().cloned().collect();
    let ranked = adapters.iter_mut().map(|adapter| (adapter.matches(&columns).unwrap(), adapter));
    ranked.filter(|(rank, _)| *rank > 0).max_by_key(|(rank, _)| *rank).map(|(_, adapter)| adapter)
}

fn shown(messages: &[Message]) -> Value {
    let shown = |message: &Message| json!({"role": message.role, "content": message.content});
    messages.iter().map(shown).collect()
}

/// The messages of a golden row in the same form. A number as an answer is its text here.
fn expected(messages: &Value) -> Value {
    let content = |content: &Value| content.as_str().map_or_else(|| content.to_string(), str::to_owned);
    let shown =
        |message: &Value| json!({"role": role(&message["role"]), "content": content(&message["content"])});
    messages.as_array().unwrap().iter().map(shown).collect()
}

/// ms-swift gives `tool` its other name when it applies the template.
fn role(role: &Value) -> &str {
    role.as_str().map(|role| if role == "tool" { "tool_response" } else { role }).unwrap()
}

fn check(name: &str, sample: &Sample, row: &Value) {
    assert_eq!(shown(&sample.messages), expected(&row["messages"]), "{name}");
    let rejected = match (&row["rejected_response"], &row["rejected_messages"]) {
        (Value::Null, Value::Null) => None,
        (Value::Null, messages) => Some(expected(messages)),
        (answer, _) => {
            let mut messages = expected(&row["messages"]);
            let answer = match answer {
                Value::Array(messages) => messages[0]["content"].clone(),
                answer => answer.clone(),
            };
            *messages.as_array_mut().unwrap().last_mut().unwrap() =
                json!({"role": "assistant", "content": answer});
            Some(messages)
        }
    };
    assert_eq!(sample.rejected.as_deref().map(shown), rejected, "{name}");
}

#[test]
fn rows_become_what_ms_swift_makes_of_them_or_are_left_out_with_a_reason() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let different = BTreeMap::from(DIFFERENT);
    let mut adapters =
        ["alpaca", "messages", "preference"].map(|name| plugin(name).dataset(&Limits::default()).unwrap());
    let (mut same, mut explained) = (0, 0);
    for case in golden["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        // Rows that the adapter sees; files and renamed columns are the host's.
        let (Some(rows), Some(results)) = (case["rows"].as_array(), case["result"].as_array()) else {
            continue;
        };
        if case["options"].get("columns").is_some() {
            continue;
        }
        let adapter = adapter(&mut adapters, &rows[0]);
        if UNTRAINABLE.contains(&name) {
            let texts: Vec<String> = rows.iter().map(Value::to_string).collect();
            let outcomes = adapter.map(|adapter| adapter.convert(&texts).unwrap()).unwrap_or_default();
            assert!(
                outcomes.iter().all(|outcome| matches!(outcome, Outcome::Skipped(_))),
                "{name}: {outcomes:?}"
            );
            continue;
        }
        let texts: Vec<String> = rows.iter().map(Value::to_string).collect();
        let outcomes = adapter.unwrap_or_else(|| panic!("{name}: no adapter")).convert(&texts).unwrap();
        let skipped = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Skipped(reason) => Some(reason.as_str()),
            Outcome::Sample(_) => None,
        });
        if let Some(reason) = different.get(name) {
            assert_eq!(skipped, Some(*reason), "{name}");
            explained += 1;
            continue;
        }
        let samples: Vec<&Sample> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Sample(sample) => Some(sample),
                Outcome::Skipped(_) => None,
            })
            .collect();
        assert_eq!(samples.len(), results.len(), "{name}: {skipped:?}");
        samples.into_iter().zip(results).for_each(|(sample, row)| check(name, sample, row));
        same += 1;
    }
    assert_eq!((same, explained), (60, DIFFERENT.len()));
}
