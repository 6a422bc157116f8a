use serde_json::{Value, json};

use super::*;
use crate::conversation;

const GOLDEN: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/templates/agent_templates.json");

fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(GOLDEN).unwrap()).unwrap()
}

/// The calls that the golden cases write: of one tool, or of two.
fn calls(count: usize) -> Vec<Call> {
    let call = |name: &str, arguments: Value| Call { name: name.to_owned(), arguments };
    match count {
        1 => vec![call("get_weather", json!({"city": "Paris"}))],
        _ => vec![
            call("get_weather", json!({"city": "Paris", "unit": "c"})),
            call("add", json!({"a": 1, "b": 2.5})),
        ],
    }
}

/// Checks a field of every case; gives how many there are.
fn for_each_case(field: &str, check: impl Fn(&Agent, &Value) -> Value) -> usize {
    let golden = golden();
    let mut failures = Vec::new();
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let name = case["agent_template"].as_str().unwrap();
        let actual = check(Agent::find(name).unwrap(), &golden);
        if actual != case[field] {
            failures.push(format!("{name}\n  is     {actual}\n  should {}", case[field]));
        }
    }
    assert!(
        failures.is_empty(),
        "{field}: {} of {} fail\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    println!("agent_templates.json, {field}: {} of {0} cases pass", cases.len());
    cases.len()
}

fn described(agent: &Agent, golden: &Value, system: Option<&str>) -> Value {
    let tools = conversation::tools(&golden["tools"]).unwrap();
    let mut system = system.map(str::to_owned);
    agent.describe(&tools, &mut system, None);
    system.into()
}

#[test]
fn every_agent_template_is_valid() {
    for name in names() {
        let agent = Agent::find(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(agent.call.contains("{{name}}"), "{name}");
        assert_eq!(agent.call.contains("{{ARGUMENTS}}"), !agent.argument.is_empty(), "{name}");
    }
    assert_eq!(names().len(), 36);
}

#[test]
fn tools_are_described_as_in_the_reference() {
    assert_eq!(for_each_case("format_tools", |agent, golden| described(agent, golden, None)), 36);
    let with_system = |agent: &Agent, golden: &Value| described(agent, golden, Some("Be brief."));
    assert_eq!(for_each_case("format_tools_with_system", with_system), 36);
}

#[test]
fn calls_are_written_as_in_the_reference() {
    for count in [1, 2] {
        let field = format!("format_tool_calls_{count}");
        assert_eq!(for_each_case(&field, |agent, _| agent.write_calls(&calls(count)).unwrap().into()), 36);
    }
}

#[test]
fn written_calls_are_read_as_in_the_reference() {
    for count in [1, 2] {
        let read = |agent: &Agent, _: &Value| {
            let written = agent.write_calls(&calls(count)).unwrap();
            let (text, calls) = agent.read_calls(&written);
            assert_eq!(text, "");
            let call = |(name, arguments)| json!({"name": name, "arguments": arguments});
            calls.into_iter().map(call).collect::<Value>()
        };
        assert_eq!(for_each_case(&format!("get_toolcall_{count}"), read), 36);
    }
}

#[test]
fn an_answer_without_calls_is_text() {
    for name in names() {
        let agent = Agent::find(&name).unwrap();
        for answer in ["", "It is 21 degrees.", "Two lines\nof {text}, and <b>more</b>.\n"] {
            assert_eq!(agent.read_calls(answer), (answer, Vec::new()), "{name}");
        }
    }
}

#[test]
fn the_text_before_calls_stays_and_a_cut_off_end_is_no_matter() {
    let hermes = Agent::find("hermes").unwrap();
    let answer = "Let me see.\n<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":[1]}}";
    assert_eq!(
        hermes.read_calls(answer),
        ("Let me see.\n", vec![("f".to_owned(), r#"{"x": [1]}"#.to_owned())])
    );
    let react = Agent::find("react_en").unwrap();
    let answer = "Thought: weather\nAction: f\nAction Input: {\"x\":\n 1}";
    assert_eq!(
        react.read_calls(answer),
        ("Thought: weather\n", vec![("f".to_owned(), r#"{"x": 1}"#.to_owned())])
    );
    let coder = Agent::find("qwen3_coder").unwrap();
    let answer = "<tool_call>\n<function=f>\n<parameter=x>\n\n a\n\n</parameter>\n</function>\n</tool_call>";
    assert_eq!(coder.read_calls(answer).1, [("f".to_owned(), r#"{"x": "\n a\n"}"#.to_owned())]);
}

#[test]
fn a_call_that_is_cut_off_anywhere_is_read_as_far_as_it_goes() {
    for name in names() {
        let agent = Agent::find(&name).unwrap();
        let written = agent.write_calls(&calls(2)).unwrap();
        let mut most = 0;
        for (end, _) in written.char_indices() {
            let (text, calls) = agent.read_calls(&written[..end]);
            assert!(written.starts_with(text) && calls.len() <= 2, "{name}: {}", &written[..end]);
            most = most.max(calls.len());
        }
        assert!(most >= 1, "{name}");
    }
}
