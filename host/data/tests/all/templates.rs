use serde_json::Value;
use swift_data::{Error, Field, LoadOptions, RowShape, Template, TemplateOptions, TrainedParts, Truncation};

use crate::support::{
    Encode as _, expect_encoded, file, golden_json, label_spans, load, messages, template, template_with,
    tokenizer,
};

#[test]
fn options_pairs_and_truncation_give_what_ms_swift_gives() {
    let cases = golden_json("template_options.json");
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap().iter().filter(|case| case["mode"] != "transformers") {
        let option = |name: &str| case["options"].get(name);
        let text = |name: &str| option(name).and_then(Value::as_str);
        if text("template_backend") == Some("jinja") {
            continue; // Compared below: there, ms-swift trains on the questions, too.
        }
        let options = TemplateOptions {
            system: text("default_system").map(str::to_owned),
            preserve_thinking: option("preserve_thinking").and_then(Value::as_bool),
            add_non_thinking_prefix: option("add_non_thinking_prefix")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            ..TemplateOptions::default()
        };
        let mut template = template_with(case["template"].as_str().unwrap(), &tokenizer(), options).unwrap();
        let load_options = LoadOptions {
            shape: if case["mode"] == "rlhf" { RowShape::Pair } else { RowShape::Conversation },
            trained_parts: TrainedParts::split(text("loss_scale").unwrap_or("default")).0,
            max_length: option("max_length").and_then(Value::as_u64).map(|length| length as usize),
            truncation: text("truncation_strategy")
                .unwrap_or("delete")
                .replace("raise", "delete")
                .parse()
                .unwrap(),
            ..LoadOptions::default()
        };
        let (_folder, path) =
            file("rows.jsonl", cases["inputs"][case["inputs"].as_str().unwrap()].to_string());
        let loaded = load(&[&path], &mut template, &load_options);
        compared += 1;
        // Rows that ms-swift refuses, and those with nothing to train on, which it keeps.
        if case.get("error").is_some() || case["label_spans"].as_array().is_some_and(Vec::is_empty) {
            assert!(matches!(loaded, Err(Error::NothingLeft { rows: 1, .. })), "{case}");
            continue;
        }
        let dataset = loaded.unwrap();
        let example = dataset.example(0).unwrap();
        if load_options.shape == RowShape::Pair {
            assert_eq!(example.sequences.len(), 2);
            for (encoded, side) in example.sequences.iter().zip(["chosen", "rejected"]) {
                let golden = |what: &str| &case[format!("{side}_{what}")];
                expect_encoded(
                    encoded,
                    golden("input_ids"),
                    golden("label_spans"),
                    &format!("{side} {case}"),
                );
            }
            let margin: Vec<_> = case
                .get("margin")
                .and_then(Value::as_f64)
                .map(|value| ("margin".to_owned(), Field::Number(value)))
                .into_iter()
                .collect();
            assert_eq!(example.fields, margin);
        } else {
            expect_encoded(
                &example.sequences[0],
                &case["input_ids"],
                &case["label_spans"],
                &case.to_string(),
            );
        }
    }
    assert_eq!(compared, 48);
}

#[test]
fn the_models_own_template_gives_the_tokens_of_transformers_and_trains_on_answers_only() {
    let cases = golden_json("template_options.json");
    let mut jinja = Template::of_model(&tokenizer(), TemplateOptions::default()).unwrap();
    let mut table = template("qwen");
    assert_eq!(jinja.name(), "jinja");
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        if case["options"].get("template_backend").and_then(Value::as_str) != Some("jinja") {
            continue;
        }
        let messages = messages(&cases["inputs"][case["inputs"].as_str().unwrap()]["messages"]);
        let ids: Vec<u32> = serde_json::from_value(case["input_ids"].clone()).unwrap();
        if case["mode"] == "train" {
            let encoded = jinja.encode(&messages, TrainedParts::Answers).unwrap();
            assert_eq!(encoded.input_ids, ids);
            assert_eq!(encoded, table.encode(&messages, TrainedParts::Answers).unwrap());
            let last = jinja.encode(&messages, TrainedParts::LastRound).unwrap();
            assert_eq!(last, table.encode(&messages, TrainedParts::LastRound).unwrap());
            // What ms-swift does is its `all`.
            let all = jinja.encode(&messages, TrainedParts::Everything).unwrap();
            expect_encoded(&all, &case["input_ids"], &case["label_spans"], "all");
        } else {
            assert_eq!(jinja.encode_prompt(&messages).unwrap(), ids);
        }
        compared += 1;
    }
    assert_eq!(compared, 6);
}

#[test]
fn conversations_that_cannot_be_rendered_say_why() {
    let mut template = template("qwen");
    let mut why =
        |rows: Value| template.encode(&messages(&rows), TrainedParts::Answers).unwrap_err().to_string();
    let user = serde_json::json!({"role": "user", "content": "a"});
    let answer = serde_json::json!({"role": "assistant", "content": "b"});
    let other = |role: &str| serde_json::json!({"role": role, "content": "c"});
    assert_eq!(why(serde_json::json!([])), "the conversation has no messages");
    assert_eq!(why(serde_json::json!([user])), "the conversation does not end with an answer");
    assert_eq!(
        why(serde_json::json!([user, other("tool_call"), other("tool_response"), answer])),
        "a tool call is not a JSON object"
    );
    assert_eq!(why(serde_json::json!([user, other("narrator"), answer])), "a message has an unknown role");
    assert_eq!(
        why(serde_json::json!([user, other("system"), answer])),
        "a `system` message is not the first message"
    );
}

#[test]
fn an_answer_that_ends_with_a_stop_word_gets_no_suffix() {
    let mut template = template("qwen");
    let rows = serde_json::json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b<|endoftext|>"}]);
    let encoded = template.encode(&messages(&rows), TrainedParts::Answers).unwrap();
    let text = template.tokenizer().decode(&encoded.input_ids).unwrap();
    assert!(text.ends_with("assistant\nb<|endoftext|>"), "{text}");
    assert_eq!(label_spans(&encoded).len(), 1);
}

#[test]
fn an_unknown_template_is_an_error_that_names_the_nearest() {
    let error = template_with("Qwen2.5", &tokenizer(), TemplateOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "There is no template `Qwen2.5`");
    assert_eq!(error.hint().unwrap(), "did you mean `qwen2_5`?");
    let error = template_with("§", &tokenizer(), TemplateOptions::default()).unwrap_err();
    assert!(error.hint().unwrap().starts_with("the templates are `chatml`, "));
}

#[test]
fn options_that_mean_nothing_are_errors() {
    assert_eq!(
        "middle".parse::<Truncation>().unwrap_err().to_string(),
        "`truncation-strategy` must be `delete`, `left` or `right`, not `middle`"
    );
}
