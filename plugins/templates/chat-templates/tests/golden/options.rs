//! What the options of a run change.

use std::collections::BTreeMap;

use plugin_loss_scale_rules::LossScaleRules;
use serde_json::Value;
use swift_data::{AdapterFailure, Rendered, Tokenizer, TrainedParts, Weigher};
use swift_plugin::{LossScale as _, Message, RenderOptions, Training};

use crate::common::{Known, compare, messages, options, read, render, report, tokenizer};

/// Options whose cases are no matter of the plugin, with how many cases that is: the model's own chat template is
/// rendered by the host, and sequences that are too long are cut by the host.
const OF_THE_HOST: [(&str, usize); 2] = [("template_backend", 6), ("truncation_strategy", 16)];

/// GLM-4.5: before calls, the new line behind the name of the model's role is no token. The reference looks for the call in
/// what follows that name, which is the sign of no thoughts alone if a rule for loss weights cuts there, and leaves the line
/// in: a model would read another thing in training than in use. Here tokens do not depend on the weights that they have.
const KNOWN: [Known; 4] = [
    Known { name: "glm4_5 train tool_call hermes", word: "\n", by: 1 },
    Known { name: "glm4_5 train tool_parallel hermes", word: "\n", by: 2 },
    Known { name: "glm4_5 train tool_call hermes+ignore_empty_think", word: "\n", by: 1 },
    Known { name: "glm4_5 train tool_parallel hermes+ignore_empty_think", word: "\n", by: 2 },
];

#[test]
fn options_change_tokens_labels_and_weights_as_in_the_reference() {
    let file = read("templates/template_options.json");
    let tokenizer = tokenizer("tokenizer");
    let mut of_the_host: BTreeMap<&str, usize> = BTreeMap::new();
    let mut results = Vec::new();
    for case in file["cases"].as_array().unwrap() {
        if let Some((option, _)) =
            OF_THE_HOST.iter().find(|(option, _)| case["options"].get(option).is_some())
        {
            *of_the_host.entry(option).or_default() += 1;
            continue;
        }
        let row = &file["inputs"][case["inputs"].as_str().unwrap()];
        let [template, mode, conversation] =
            ["template", "mode", "conv"].map(|field| case[field].as_str().unwrap());
        let options = &case["options"];
        let scale = options["loss_scale"].as_str().map_or_else(|| options.to_string(), str::to_owned);
        let name = format!("{template} {mode} {conversation} {scale}");
        let result = check(case, &name, row, &tokenizer);
        results.push((name, result));
    }
    assert_eq!(of_the_host, BTreeMap::from(OF_THE_HOST));
    report("template_options.json", results, 243, KNOWN.len());
}

fn check(case: &Value, name: &str, row: &Value, tokenizer: &Tokenizer) -> Result<(), String> {
    let chosen = messages(&row["messages"]);
    let encode = |messages: &[Message]| encode(case, messages, row.get("tools"), tokenizer);
    match case["mode"].as_str().unwrap() {
        "train" | "transformers" => match KNOWN.iter().find(|known| known.name == name) {
            Some(known) => known.compare(case, &encode(&chosen)?, tokenizer),
            None => compare(case, "", &encode(&chosen)?, tokenizer),
        },
        _ => {
            let rejected = rejected(row, &chosen);
            if case.get("error").is_some() {
                // Which the dataset plugins refuse, a row being two conversations to this plugin.
                assert_eq!(texts(&chosen), texts(&rejected));
                return Ok(());
            }
            compare(case, "chosen_", &encode(&chosen)?, tokenizer)?;
            compare(case, "rejected_", &encode(&rejected)?, tokenizer)
        }
    }
}

fn texts(messages: &[Message]) -> Vec<(&str, &str)> {
    messages.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect()
}

/// The conversation that ends with the worse answer, as dataset plugins make it.
fn rejected(row: &Value, chosen: &[Message]) -> Vec<Message> {
    if row.get("rejected_messages").is_some() {
        return messages(&row["rejected_messages"]);
    }
    // The answer is everything after the last question.
    let question = chosen.iter().rposition(|message| message.role == "user").unwrap();
    let answer = match &row["rejected_response"] {
        Value::String(text) => vec![Message::new("assistant", text)],
        list => messages(list),
    };
    [&chosen[..=question], &answer].concat()
}

fn encode(
    case: &Value,
    messages: &[Message],
    tools: Option<&Value>,
    tokenizer: &Tokenizer,
) -> Result<swift_data::Encoded, String> {
    let given = &case["options"];
    let scale = given["loss_scale"].as_str().unwrap_or("default");
    let (parts, rules) = TrainedParts::split(scale);
    let training = match parts {
        _ if case["mode"] == "transformers" => Training::None,
        TrainedParts::None => Training::None,
        TrainedParts::Answers => Training::Answers,
        TrainedParts::LastRound => Training::LastRound,
        TrainedParts::Everything => Training::Everything,
    };
    let text = |option: &str| given[option].as_str().map(str::to_owned);
    let options = RenderOptions {
        training,
        system: text("default_system"),
        response_prefix: text("response_prefix"),
        preserve_thinking: given["preserve_thinking"].as_bool(),
        add_non_thinking_prefix: given["add_non_thinking_prefix"].as_bool().unwrap_or(true),
        ..options()
    };
    let template =
        if given["use_chat_template"] == false { "dummy" } else { case["template"].as_str().unwrap() };
    let mut rendered = render(template, messages, tools, &options)?;
    if !rules.is_empty() {
        weigh(&mut rendered, rules)?;
    }
    rendered.tokenize(tokenizer).map_err(|error| error.to_string())
}

fn weigh(rendered: &mut Rendered, rules: &str) -> Result<(), String> {
    struct Rules(LossScaleRules);
    impl Weigher for Rules {
        fn name(&self) -> &str {
            "loss-scale-rules"
        }

        fn digest(&self) -> &str {
            "sha256:0"
        }

        fn weigh(
            &mut self,
            answer: &str,
            question: Option<&str>,
        ) -> Result<Vec<(String, f64)>, AdapterFailure> {
            let failure =
                |error: swift_plugin::Error| AdapterFailure { message: error.to_string(), hint: None };
            self.0.weigh(answer, question).map_err(failure)
        }
    }
    let mut rules = Rules(LossScaleRules { rules: rules.to_owned() });
    rendered.weigh(&mut rules).map_err(|failure| failure.to_string())
}
