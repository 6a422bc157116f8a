use super::*;
use swift_plugin::testing::convert;

/// The chosen and the rejected conversation as `role: content | role: content`, or the reason why the row is left out.
fn converted(row: &str) -> Vec<String> {
    let shown = |messages: &[Message]| {
        let messages: Vec<String> =
            messages.iter().map(|message| format!("{}: {}", message.role, message.content)).collect();
        messages.join(" | ")
    };
    match convert(&Preference {}, row.parse().unwrap()).unwrap() {
        Outcome::Sample(sample) => vec![shown(&sample.messages), shown(&sample.rejected.unwrap())],
        Outcome::Skipped(reason) => vec![reason],
    }
}

const PAIR: [&str; 2] = ["user: q | assistant: good", "user: q | assistant: bad"];

#[test]
fn answers_may_be_texts_or_messages() {
    assert_eq!(converted(r#"{"prompt": "q", "chosen": "good", "rejected": "bad"}"#), PAIR);
    assert_eq!(
        converted(r#"{"question": "q", "chosen_response": "good", "rejected_response": "bad"}"#),
        PAIR
    );
    assert_eq!(
        converted(
            r#"{"prompt": [{"role": "user", "content": "q"}], "chosen": [{"role": "assistant", "content": "good"}],
                "rejected": [{"role": "assistant", "content": "bad"}]}"#
        ),
        PAIR
    );
}

#[test]
fn a_prompt_inside_of_the_messages_is_not_doubled() {
    let turns = r#""chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}],
        "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}]"#;
    assert_eq!(converted(&format!("{{{turns}}}")), PAIR);
    assert_eq!(converted(&format!(r#"{{"prompt": "q", {turns}}}"#)), PAIR);
}

#[test]
fn both_conversations_get_the_system_message() {
    assert_eq!(
        converted(r#"{"system": "s", "question": "q", "chosen": "good", "rejected": "bad"}"#),
        PAIR.map(|conversation| format!("system: s | {conversation}"))
    );
}

#[test]
fn whatever_else_there_is_becomes_columns() {
    let row = r#"{"prompt": "q", "chosen": "good", "rejected": "bad", "score_chosen": 8.5, "margin": 2, "id": "x"}"#;
    let Outcome::Sample(sample) = convert(&Preference {}, row.parse().unwrap()).unwrap() else { panic!() };
    let expected = [("score_chosen", "8.5"), ("margin", "2"), ("id", "\"x\"")];
    assert_eq!(sample.columns, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn images_in_the_messages_of_either_answer_are_told_apart() {
    let turns = |path: &str, answer: &str| {
        format!(
            r#"[{{"role": "user", "content": [{{"type": "image", "image": "{path}"}}, {{"type": "text", "text": "q"}}]}},
                {{"role": "assistant", "content": "{answer}"}}]"#
        )
    };
    let row = format!(r#"{{"chosen": {}, "rejected": {}}}"#, turns("a.jpg", "good"), turns("b.jpg", "bad"));
    let Outcome::Sample(sample) = convert(&Preference {}, row.parse().unwrap()).unwrap() else { panic!() };
    assert_eq!(sample.messages[0].content, "<image>q");
    let expected = [("images", "a.jpg"), ("rejected_images", "b.jpg")];
    let expected =
        expected.map(|(name, path)| (name.to_owned(), format!(r#"[{{"bytes":null,"path":"{path}"}}]"#)));
    assert_eq!(sample.columns, expected);
}

#[test]
fn a_row_without_two_different_answers_and_a_question_is_skipped() {
    assert_eq!(converted(r#"{"prompt": "q", "chosen": null, "rejected": "bad"}"#), ["`chosen` is empty"]);
    assert_eq!(
        converted(r#"{"prompt": "q", "chosen": "good", "rejected": "good"}"#),
        ["the chosen and the rejected answer are the same"]
    );
    assert_eq!(converted(r#"{"chosen": "good", "rejected": "bad"}"#), ["the row has no question"]);
}

#[test]
fn a_file_with_both_answers_matches_whatever_else_it_has() {
    let columns = ["prompt", "chosen", "rejected", "messages"].map(str::to_owned);
    assert_eq!(Preference {}.matches(&columns), 100);
    assert_eq!(Preference {}.matches(&columns[..2]), 0);
}
