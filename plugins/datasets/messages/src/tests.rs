use super::*;
use swift_plugin::testing::convert;

/// A row from JSON.
macro_rules! row {
    ($json:literal) => {
        $json.parse::<Value>().unwrap()
    };
}

fn sample(row: Value) -> Sample {
    match convert(&Messages {}, row).unwrap() {
        Outcome::Sample(sample) => sample,
        Outcome::Skipped(reason) => panic!("{reason}"),
    }
}

fn reason(row: Value) -> String {
    match convert(&Messages {}, row).unwrap() {
        Outcome::Sample(sample) => panic!("{sample:?}"),
        Outcome::Skipped(reason) => reason,
    }
}

/// `role: content` of each message.
fn shown(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| format!("{}: {}", message.role, message.content)).collect()
}

#[test]
fn both_spellings_and_all_names_of_roles_are_read() {
    let openai = sample(row!(
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#
    ));
    assert_eq!(shown(&openai.messages), ["user: a", "assistant: b"]);
    let sharegpt = sample(row!(
        r#"{"system": "s", "conversations": [{"from": "human", "value": "a"}, {"from": "function-call", "value": "f"},
            {"from": "observation", "value": "o"}, {"from": "gpt", "value": "b"}]}"#
    ));
    assert_eq!(
        shown(&sharegpt.messages),
        ["system: s", "user: a", "tool_call: f", "tool_response: o", "assistant: b"]
    );
    let pairs =
        sample(row!(r#"{"conversation": [{"human": "a", "assistant": "b"}, {"user": "c", "bot": "d"}]}"#));
    assert_eq!(shown(&pairs.messages), ["user: a", "assistant: b", "user: c", "assistant: d"]);
}

#[test]
fn a_system_message_of_the_conversation_wins_over_the_column() {
    let row = row!(
        r#"{"system": "column", "messages": [{"role": "system", "content": "own"}, {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"}]}"#
    );
    assert_eq!(shown(&sample(row).messages), ["system: own", "user: a", "assistant: b"]);
}

#[test]
fn a_message_may_say_whether_it_is_trained_on() {
    let row = row!(
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "loss": false},
            {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "loss_scale": 1.0}]}"#
    );
    let train: Vec<Option<bool>> = sample(row).messages.iter().map(|message| message.train).collect();
    assert_eq!(train, [None, Some(false), None, Some(true)]);
}

#[test]
fn a_worse_answer_replaces_the_last_message_or_comes_with_messages_of_its_own() {
    let rejected = |column: &str| {
        let row = format!(
            r#"{{"system": "s", "margin": 0.5, "messages": [{{"role": "user", "content": "a"}},
                {{"role": "assistant", "content": "b"}}], {column}}}"#
        );
        let sample = sample(row.parse().unwrap());
        assert_eq!(sample.columns, [("margin".to_owned(), "0.5".to_owned())]);
        shown(&sample.rejected.unwrap())
    };
    let expected = ["system: s", "user: a", "assistant: c"];
    assert_eq!(rejected(r#""rejected_response": "c""#), expected);
    assert_eq!(rejected(r#""rejected_response": [{"role": "assistant", "content": "c"}]"#), expected);
    assert_eq!(
        rejected(r#""rejected_messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "c"}]"#),
        expected
    );
}

#[test]
fn whatever_cannot_be_used_is_skipped_with_its_reason() {
    let conversation = |messages: &str| reason(format!(r#"{{"messages": {messages}}}"#).parse().unwrap());
    assert_eq!(conversation("[]"), "the conversation is empty");
    assert_eq!(conversation(r#""hello""#), "the conversation is text, and not a list in JSON");
    assert_eq!(conversation(r#"[{"role": "narrator", "content": "x"}]"#), "unknown role `narrator`");
    assert_eq!(
        conversation(r#"[{"role": "user", "content": null}]"#),
        "a message of role `user` has no content"
    );
    assert_eq!(
        conversation(r#"[{"role": "user", "content": [{"type": "image_url"}]}]"#),
        "content of type `image_url` is not supported"
    );
    assert_eq!(
        conversation(r#"[{"role": "user", "content": "x"}]"#),
        "the conversation does not end with an answer"
    );
    assert_eq!(conversation(r#"[{"role": "assistant", "content": " "}]"#), "the answer is empty");
    assert_eq!(
        conversation(r#"[{"role": "assistant", "content": "x", "loss_scale": 0.5}]"#),
        "`loss_scale` of a message is 0.5, not 0 or 1"
    );
    let pair = |columns: &str| {
        let messages = r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#;
        reason(format!(r#"{{"messages": {messages}, {columns}}}"#).parse().unwrap())
    };
    assert_eq!(pair(r#""rejected_response": null"#), "`rejected_response` is empty");
    assert_eq!(pair(r#""rejected_response": "b""#), "the chosen and the rejected answer are the same");
    assert_eq!(pair(r#""images": ["a.jpg"]"#), "column `images` is not supported");
}
