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
    for history in [r#""[[\"q1\", \"a1\"]]""#, r#""[['q1', 'a1']]""#, r#"[["q1", null], [null, "a1"]]"#] {
        let row = format!(r#"{{"history": {history}, "query": "q2", "response": "a2"}}"#);
        assert_eq!(converted(&row), ["user: q1", "assistant: a1", "user: q2", "assistant: a2"]);
    }
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
fn the_first_of_several_answers_is_taken() {
    assert_eq!(converted(r#"{"query": "q", "response": ["a", "b"]}"#), ["user: q", "assistant: a"]);
}

#[test]
fn a_question_without_an_answer_is_a_prompt() {
    assert_eq!(converted(r#"{"query": "q"}"#), ["user: q"]);
    assert_eq!(converted(r#"{"query": "q", "response": null}"#), ["user: q"]);
    assert_eq!(
        converted(r#"{"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]}"#),
        ["system: s", "user: q"]
    );
}

#[test]
fn what_no_one_reads_and_a_solution_stay_columns() {
    let row = r#"{"problem": "p", "solution": "s", "source": "web", "score": 2.5, "note": null}"#;
    let Outcome::Sample(sample) = convert(&Alpaca {}, row.parse().unwrap()).unwrap() else { panic!() };
    let expected = [("source", "\"web\""), ("score", "2.5"), ("solution", "\"s\"")];
    let mut columns = sample.columns;
    columns.sort();
    let mut expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    expected.sort();
    assert_eq!(columns, expected);
}

#[test]
fn a_row_that_is_nothing_of_this_is_skipped() {
    assert_eq!(converted(r#"{"query": null, "response": null}"#), ["the conversation is empty"]);
    assert_eq!(converted(r#"{"query": "q", "response": []}"#), ["the answer is a list of 0, not one text"]);
    assert_eq!(converted(r#"{"query": "q", "response": {}}"#), ["the answer is not text"]);
    assert_eq!(
        converted(r#"{"query": "q", "history": [["a"]], "response": "a"}"#),
        ["a round of `history` is not a question and an answer"]
    );
    assert_eq!(
        converted(r#"{"query": "q", "history": "a, b", "response": "a"}"#),
        ["`history` is text, and not a list in JSON or Python"]
    );
}

#[test]
fn files_with_a_question_or_an_answer_match() {
    let matches = |columns: &[&str]| {
        Alpaca {}.matches(&columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    assert!(matches(&["instruction", "input", "output"]) > matches(&["text"]));
    assert!(matches(&["text"]) > 0);
    assert!(matches(&["query"]) > 0);
    assert_eq!(matches(&["id"]), 0);
}
