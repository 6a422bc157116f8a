//! Dataset adapters.

use serde_json::{Value, json};
use swift_runtime::{DatasetPlugin, Message, Outcome, Result, Sample};

use crate::bench::Bench;

/// Roles that the rest of the chain knows.
const ROLES: [&str; 5] = ["system", "user", "assistant", "tool_call", "tool_response"];

/// Rows as they are found in the wild, and some that are broken.
fn rows() -> Vec<Value> {
    let question = json!({"role": "user", "content": "What is 2 + 2?"});
    let answer = json!({"role": "assistant", "content": "4 🙂"});
    let worse = json!({"role": "assistant", "content": "5"});
    vec![
        json!({"messages": [question, answer]}),
        json!({"messages": [{"role": "system", "content": "Be brief."}, question, answer], "label": true}),
        json!({"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]}),
        json!({"query": "What is 2 + 2?", "response": "4"}),
        json!({"instruction": "Add.", "input": "2 and 2", "output": "4"}),
        json!({"messages": [question, answer], "rejected_response": "5"}),
        json!({"prompt": "What is 2 + 2?", "chosen": "4", "rejected": "5"}),
        json!({"chosen": [question, answer], "rejected": [question, worse]}),
        json!({"text": "Two and two make four."}),
        json!({}),
        json!({"messages": "none"}),
        json!({"messages": [{"role": 3}], "rejected_response": {}}),
        json!({"query": null, "response": [1, 2]}),
        json!({"instruction": {}, "output": ""}),
    ]
}

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let mut adapter = bench.plugin.dataset(&bench.options.limits)?;
    let mut read = Vec::new();
    for row in rows() {
        if adapter.matches(&columns(&row))? > 0 {
            read.push(row.to_string());
        }
    }
    let outcomes = adapter.convert(&read)?;
    let second = bench.plugin.dataset(&bench.options.limits)?;
    let same = one_by_one(second, &read)? == outcomes;

    let samples = || {
        outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Sample(sample) => Some(sample),
            Outcome::Skipped(_) => None,
        })
    };
    let (made, taken) = (samples().count(), read.len());
    match made {
        0 => bench.noted(
            format!("None of {} common rows becomes a sample", rows().len()),
            "that is well for an adapter of columns of its own; test it with rows of yours".to_owned(),
        ),
        _ => {
            bench.passed(format!("{made} of {taken} rows that it takes become samples, and none crashes it"))
        }
    }
    match samples().find_map(mistake) {
        Some(mistake) => {
            bench.failed(mistake, "the rest of the chain can't work on such a sample".to_owned())
        }
        None => bench.passed("Every sample is a conversation"),
    }
    let reasonless =
        outcomes.iter().any(|outcome| matches!(outcome, Outcome::Skipped(reason) if reason.is_empty()));
    bench.expect(
        !reasonless,
        "Every row that is left out has a reason",
        "A row is left out without a reason",
        "rows are counted by reason, and the user is shown them",
    );
    bench.expect(
        same,
        "Another instance, given the rows one by one, makes the same of them",
        "Another instance, given the rows one by one, makes something else of them",
        "a row's outcome may depend on nothing but the row",
    );
    bench.measure(|| adapter.convert(&read).map(drop))
}

fn columns(row: &Value) -> Vec<String> {
    row.as_object().map(|row| row.keys().cloned().collect()).unwrap_or_default()
}

fn one_by_one(mut adapter: DatasetPlugin, rows: &[String]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for row in rows {
        outcomes.extend(adapter.convert(std::slice::from_ref(row))?);
    }
    Ok(outcomes)
}

/// What is wrong with a sample.
fn mistake(sample: &Sample) -> Option<String> {
    let conversations = std::iter::once(&sample.messages)
        .chain(&sample.rejected)
        .chain(&sample.positives)
        .chain(&sample.negatives);
    for messages in conversations {
        if messages.is_empty() {
            return Some("A conversation has no message".into());
        }
        let unknown = |message: &&Message| !ROLES.contains(&message.role.as_str());
        if let Some(message) = messages.iter().find(unknown) {
            return Some(format!("A message has the role `{}`, which is none", message.role));
        }
    }
    let wild = sample.columns.iter().find(|(_, value)| serde_json::from_str::<Value>(value).is_err());
    wild.map(|(name, value)| format!("The column `{name}` is `{value}`, which is not JSON"))
}
