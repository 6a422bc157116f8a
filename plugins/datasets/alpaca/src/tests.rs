use super::*;
use swift_plugin::testing::convert;

/// `role: content` of each message, or the reason why the row is left out.
fn converted(row: &str) -> Vec<String> {
    match convert(&Alpaca {}, row.parse().unwrap()).unwrap() {
        Outcome::Sample(sample) => {
            sample.messages.iter().map(|message| format!("{}: {}", message.role, message.content)).collect()
        }
        Outcome::Skipped(reason) => vec![reason],
    }
}

#[test]
fn an_instruction_takes_its_input_on_the_next_line() {
    let row = r#"{"instruction": "Translate", "input": "chat", "output": "cat"}"#;
    assert_eq!(converted(row), ["user: Translate\nchat", "assistant: cat"]);
    for empty in [r#""""#, "null"] {
        let row = format!(r#"{{"instruction": "Say hi", "input": {empty}, "output": "hi"}}"#);
        assert_eq!(converted(&row), ["user: Say hi", "assistant: hi"]);
    }
}

#[test]
fn a_system_message_and_earlier_rounds_come_first() {
    let row = r#"{"system": "s", "history": [["q1", "a1"]], "query": "q2", "response": "a2"}"#;
    assert_eq!(converted(row), ["system: s", "user: q1", "assistant: a1", "user: q2", "assistant: a2"]);
    let row = r#"{"history": "[[\"q1\", \"a1\"]]", "query": "q2", "response": "a2"}"#;
    assert_eq!(converted(row), ["user: q1", "assistant: a1", "user: q2", "assistant: a2"]);
}

#[test]
fn other_names_mean_the_same() {
    for row in [
        r#"{"Question": "q", "Answer": "a"}"#,
        r#"{"prompt": "q", "completion": "a"}"#,
        r#"{"problem": "q", "solution": "a", "answer": null}"#,
    ] {
        assert_eq!(converted(row), ["user: q", "assistant: a"]);
    }
    assert_eq!(converted(r#"{"question": "2 + 1", "answer": 3}"#), ["user: 2 + 1", "assistant: 3"]);
    assert_eq!(converted(r#"{"text": "plain text"}"#), ["assistant: plain text"]);
}

#[test]
fn two_columns_that_mean_the_same_are_not_lost() {
    assert_eq!(
        converted(r#"{"question": "q", "answer": "a", "solution": "s"}"#),
        ["columns `answer` and `solution` mean the same; rename one to `response`"]
    );
    assert_eq!(
        converted(r#"{"question": "q", "prompt": "p", "answer": "a"}"#),
        ["columns `prompt` and `question` mean the same; rename one to `query`"]
    );
    assert_eq!(converted(r#"{"query": "q", "question": "x", "response": "a"}"#), ["user: q", "assistant: a"]);
}

#[test]
fn a_row_without_an_answer_is_skipped() {
    assert_eq!(converted(r#"{"query": "q", "response": null}"#), ["the row has no answer"]);
    assert_eq!(converted(r#"{"query": "q", "response": ""}"#), ["the answer is empty"]);
    assert_eq!(
        converted(r#"{"query": "q", "response": ["a", "b"]}"#),
        ["the answer is a list of 2, not one text"]
    );
    assert_eq!(
        converted(r#"{"query": "q", "history": [["a"]], "response": "a"}"#),
        ["a round of `history` is not a question and an answer"]
    );
}

#[test]
fn files_with_an_answer_match() {
    let matches = |columns: &[&str]| {
        Alpaca {}.matches(&columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    assert!(matches(&["instruction", "input", "output"]) > matches(&["text"]));
    assert!(matches(&["text"]) > 0);
    assert_eq!(matches(&["query"]), 0);
}
