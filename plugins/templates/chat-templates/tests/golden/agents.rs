//! Every agent template, with the template `qwen`. Their prompts and calls alone are tested beside their code.

use serde_json::Value;
use swift_plugin::RenderOptions;

use crate::common::{messages, options, read, render, report, spans, tokenizer};

#[test]
fn every_agent_template_renders_conversations_as_in_the_reference() {
    let file = read("templates/agent_templates.json");
    let tokenizer = tokenizer("tokenizer");
    let cases = file["cases"].as_array().unwrap().iter().flat_map(|case| {
        let conversations = case["encoded_with_qwen"].as_object().unwrap().iter();
        conversations.map(move |(conversation, expected)| (&case["agent_template"], conversation, expected))
    });
    let results = cases.map(|(agent, conversation, expected)| {
        let row = &file["conversations"][conversation];
        let options = RenderOptions { agent_template: agent.as_str().map(str::to_owned), ..options() };
        let check = || {
            let rendered = render("qwen", &messages(&row["messages"]), row.get("tools"), &options)?;
            let encoded = rendered.tokenize(&tokenizer).map_err(|error| error.to_string())?;
            let actual = serde_json::json!({
                "text": tokenizer.decode(&encoded.input_ids).unwrap(),
                "label_spans": spans(&encoded),
            });
            same(&actual, expected)
        };
        (format!("{agent} {conversation}"), check())
    });
    report("agent_templates.json, encoded_with_qwen", results.collect(), 180, 0);
}

fn same(actual: &Value, expected: &Value) -> Result<(), String> {
    match actual == expected {
        true => Ok(()),
        false => Err(format!("\n  is     {actual}\n  should {expected}")),
    }
}
