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
fn a_message_may_say_whether_and_how_much_it_is_trained_on() {
    let row = row!(
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "loss": false},
            {"role": "user", "content": "c"}, {"role": "assistant", "content": "d", "loss_scale": 0.5},
            {"role": "assistant", "content": "e", "loss": 1.0}, {"role": "assistant", "content": "f", "loss_scale": 0}]}"#
    );
    let said: Vec<(Option<bool>, Option<f64>)> =
        sample(row).messages.iter().map(|message| (message.train, message.loss_scale)).collect();
    let silent = (None, None);
    let (half, none) = ((Some(true), Some(0.5)), (Some(false), Some(0.0)));
    assert_eq!(said, [silent, (Some(false), None), silent, half, (Some(true), None), none]);
}

#[test]
fn calls_are_messages_of_their_own_and_results_come_in_their_order() {
    let row = row!(
        r#"{"messages": [{"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "loss": false, "tool_calls": [
                {"id": "1", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
                {"id": "2", "function": {"name": "g"}}, {"id": "3", "function": {"name": "h", "arguments": "odd"}}]},
            {"role": "tool", "tool_call_id": "3", "content": "H"}, {"role": "tool", "tool_call_id": "1", "content": {"y": 1}},
            {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "G"}]},
            {"role": "assistant", "content": "z"}]}"#
    );
    let sample = sample(row);
    assert_eq!(
        shown(&sample.messages),
        [
            "user: x",
            r#"tool_call: {"name":"f","arguments":{"a":1}}"#,
            r#"tool_call: {"name":"g","arguments":{}}"#,
            r#"tool_call: {"name":"h","arguments":"odd"}"#,
            r#"tool_response: {"y":1}"#,
            "tool_response: G",
            "tool_response: H",
            "assistant: z"
        ]
    );
    assert_eq!(sample.messages[1].train, Some(false));
}

#[test]
fn content_blocks_become_text_with_marks_calls_and_results_in_their_places() {
    let row = row!(
        r#"{"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64",
                "media_type": "image/png", "data": "AA=="}}, {"type": "text", "text": "x"}, {"type": "audio", "audio": "a.wav"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "I call"},
                {"type": "tool_use", "id": "1", "name": "f", "input": {}}, {"type": "tool_use", "id": "2", "name": "g", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "2", "content": "G"},
                {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "F"}]},
                {"type": "text", "text": "go on"}, {"type": "image"}]},
            {"role": "assistant", "content": []}], "audios": []}"#
    );
    let sample = sample(row);
    assert_eq!(
        shown(&sample.messages),
        [
            "user: <image>x<audio>",
            "assistant: I call",
            r#"tool_call: {"name":"f","arguments":{}}"#,
            r#"tool_call: {"name":"g","arguments":{}}"#,
            "tool_response: F",
            "tool_response: G",
            "user: go on<image>",
            "assistant: "
        ]
    );
    let image = r#"[{"bytes":null,"path":"data:image/png;base64,AA=="}]"#;
    let columns = [("images", image), ("audios", r#"["a.wav"]"#)];
    assert_eq!(sample.columns, columns.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn texts_to_compare_with_are_conversations() {
    let row = row!(
        r#"{"messages": [{"role": "user", "content": "q"}], "system": "s",
            "positive_messages": [[{"role": "user", "content": "p"}], [{"role": "user", "content": "r"}]],
            "negative_messages": [{"role": "assistant", "content": "n"}], "label": 0.5}"#
    );
    let sample = sample(row);
    assert_eq!(shown(&sample.messages), ["system: s", "user: q"]);
    assert_eq!(sample.positives.concat().len(), 2);
    assert_eq!(shown(&sample.positives[1]), ["user: r"]);
    assert_eq!(shown(&sample.negatives[0]), ["assistant: n"]);
    assert_eq!(sample.columns, [("label".to_owned(), "0.5".to_owned())]);
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
    assert_eq!(conversation(r#""hello""#), "the conversation is text, and not a list in JSON or Python");
    let message = |members: &str| conversation(&format!("[{{{members}}}]"));
    assert_eq!(message(r#""role": "narrator", "content": "x""#), "unknown role `narrator`");
    assert_eq!(message(r#""role": "user", "content": null"#), "a message of role `user` has no content");
    assert_eq!(
        message(r#""role": "user", "content": 3"#),
        "the content of a message of role `user` is not text"
    );
    assert_eq!(
        message(r#""role": "user", "content": [{"type": "thinking"}]"#),
        "content of type `thinking` is not supported"
    );
    assert_eq!(message(r#""role": "assistant", "tool_calls": [{"id": "1"}]"#), "a tool call has no name");
    assert_eq!(
        message(r#""role": "user", "content": [{"type": "tool_result", "content": [{"type": "image"}]}]"#),
        "the result of a tool is not text"
    );
    assert_eq!(
        message(r#""role": "assistant", "content": "x", "loss": "no""#),
        "`loss` of a message is not true or false"
    );
    let pair = |columns: &str| {
        let messages = r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#;
        reason(format!(r#"{{"messages": {messages}, {columns}}}"#).parse().unwrap())
    };
    assert_eq!(pair(r#""rejected_response": null"#), "`rejected_response` is empty");
    assert_eq!(pair(r#""rejected_response": "b""#), "the chosen and the rejected answer are the same");
    assert_eq!(pair(r#""images": [3]"#), "an image is neither a path nor an object");
    assert_eq!(pair(r#""objects": {"ref": ["a"]}"#), "`objects` has no list `bbox`");
    assert_eq!(pair(r#""objects": {"bbox": [[1, 2, 3]]}"#), "a box has neither two nor four numbers");
    assert_eq!(pair(r#""objects": {"bbox": [[1, 2, 3, "x"]]}"#), "a box has something else than numbers");
    assert_eq!(pair(r#""positive_messages": [[]]"#), "a conversation of `positive_messages` is empty");
    assert_eq!(
        reason(row!(
            r#"{"messages": [{"role": "user", "content": [{"type": "image", "image": "a.jpg"}]}], "image": "b.jpg"}"#
        )),
        "there are `images` in the messages and in a column"
    );
}
