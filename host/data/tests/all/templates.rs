use serde_json::Value;
use swift_data::{TemplateOptions, TrainedParts, Truncation};

use crate::support::{Encode as _, label_spans, messages, template, template_with, tokenizer};

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
        "`truncation-strategy` must be `delete`, `left`, `right` or `split`, not `middle`"
    );
}
