use serde_json::Value;
use swift_data::{
    Error, Field, LoadOptions, LossScale, RowShape, Template, TemplateOptions, Tokenizer, Truncation,
};

use crate::support::{
    expect_encoded, file, golden, golden_json, label_spans, load, messages, template, tokenizer,
};

#[test]
fn conversations_become_the_tokens_and_labels_that_ms_swift_makes_of_them() {
    let golden_cases = golden_json("templates.json");
    let mut compared = 0;
    for case in golden_cases["cases"].as_array().unwrap() {
        let (name, mode) = (case["template"].as_str().unwrap(), case["mode"].as_str().unwrap());
        let conversation = case["conv"].as_str().unwrap();
        let folder = case.get("tokenizer").and_then(Value::as_str).unwrap_or("tokenizer");
        let tokenizer = Tokenizer::load(&golden(folder)).unwrap();
        let options = TemplateOptions {
            enable_thinking: case.get("enable_thinking").and_then(Value::as_bool),
            ..TemplateOptions::default()
        };
        let template = Template::new(Some(name), &tokenizer, options).unwrap();
        let messages = messages(&golden_cases["conversations"][mode][conversation]["messages"]);
        let what = format!("{name} {mode} {conversation} {folder}");
        if mode == "train" {
            let encoded = template.encode(&messages, LossScale::Default).unwrap();
            expect_encoded(&encoded, &case["input_ids"], &case["label_spans"], &what);
        } else {
            let ids: Vec<u32> = serde_json::from_value(case["input_ids"].clone()).unwrap();
            assert_eq!(template.encode_prompt(&messages).unwrap(), ids, "{what}");
        }
        compared += 1;
    }
    assert_eq!(compared, 83);
}

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
        let template = Template::new(case["template"].as_str(), &tokenizer(), options).unwrap();
        let load_options = LoadOptions {
            shape: if case["mode"] == "rlhf" { RowShape::Pair } else { RowShape::Conversation },
            loss_scale: text("loss_scale").unwrap_or("default").parse().unwrap(),
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
        let loaded = load(&[&path], &template, &load_options);
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
    let (jinja, table) =
        (Template::new(None, &tokenizer(), TemplateOptions::default()).unwrap(), template("qwen"));
    assert_eq!(jinja.name(), "jinja");
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        if case["options"].get("template_backend").and_then(Value::as_str) != Some("jinja") {
            continue;
        }
        let messages = messages(&cases["inputs"][case["inputs"].as_str().unwrap()]["messages"]);
        let ids: Vec<u32> = serde_json::from_value(case["input_ids"].clone()).unwrap();
        if case["mode"] == "train" {
            let encoded = jinja.encode(&messages, LossScale::Default).unwrap();
            assert_eq!(encoded.input_ids, ids);
            assert_eq!(encoded, table.encode(&messages, LossScale::Default).unwrap());
            let last = jinja.encode(&messages, LossScale::LastRound).unwrap();
            assert_eq!(last, table.encode(&messages, LossScale::LastRound).unwrap());
            // What ms-swift does is its `all`.
            let all = jinja.encode(&messages, LossScale::All).unwrap();
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
    let template = template("qwen");
    let why = |rows: Value| template.encode(&messages(&rows), LossScale::Default).unwrap_err().to_string();
    let user = serde_json::json!({"role": "user", "content": "a"});
    let answer = serde_json::json!({"role": "assistant", "content": "b"});
    let other = |role: &str| serde_json::json!({"role": role, "content": "c"});
    assert_eq!(why(serde_json::json!([])), "the conversation has no messages");
    assert_eq!(why(serde_json::json!([user])), "the conversation does not end with an answer");
    assert_eq!(
        why(serde_json::json!([user, other("tool_call"), other("tool_response"), answer])),
        "the conversation has tool calls, which templates cannot render yet: tool_call"
    );
    assert_eq!(
        why(serde_json::json!([user, other("narrator"), answer])),
        "a message has an unknown role: `narrator`"
    );
    assert_eq!(
        why(serde_json::json!([user, other("system"), answer])),
        "a `system` message is not the first message"
    );
}

#[test]
fn an_answer_that_ends_with_a_stop_word_gets_no_suffix() {
    let template = template("qwen");
    let rows = serde_json::json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b<|endoftext|>"}]);
    let encoded = template.encode(&messages(&rows), LossScale::Default).unwrap();
    let text = template.tokenizer().decode(&encoded.input_ids).unwrap();
    assert!(text.ends_with("assistant\nb<|endoftext|>"), "{text}");
    assert_eq!(label_spans(&encoded).len(), 1);
}

#[test]
fn an_unknown_template_is_an_error_that_names_the_nearest() {
    let error = Template::new(Some("Qwen2.5"), &tokenizer(), TemplateOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "There is no template `Qwen2.5`");
    assert_eq!(
        error.hint().unwrap(),
        "Did you mean `qwen2_5`? The templates are `chatml`, `llama3`, `qwen`, `qwen2_5`, `qwen3`, `jinja`"
    );
}

#[test]
fn options_that_mean_nothing_are_errors() {
    assert!("first_round".parse::<LossScale>().is_err());
    assert_eq!(
        "middle".parse::<Truncation>().unwrap_err().to_string(),
        "`truncation-strategy` must be `delete`, `left` or `right`, not `middle`"
    );
}
