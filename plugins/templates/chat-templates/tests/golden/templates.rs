//! Every template with every conversation.

use serde_json::Value;
use swift_plugin::{RenderOptions, Training};

use crate::common::{Known, compare, messages, options, read, render, report, tokenizer};

/// GLM-4.5V: the reference looks for images by the token `<|image|>`, which the tokeniser of the cases has not, and drops
/// two tokens `<` of the tools' description in its place.
const KNOWN: [Known; 1] = [Known { name: "glm4_5v train tool_parallel None tokenizer", word: "<", by: -2 }];

#[test]
fn every_template_gives_the_tokens_and_labels_of_the_reference() {
    let file = read("templates/templates.json");
    let tokenizers = ["tokenizer", "tokenizer_bos"].map(|name| (name, tokenizer(name)));
    let results = file["cases"].as_array().unwrap().iter().map(|case| {
        let wanted = case["tokenizer"].as_str().unwrap_or("tokenizer");
        let (_, tokenizer) = tokenizers.iter().find(|(name, _)| *name == wanted).unwrap();
        let [template, mode, conversation] =
            ["template", "mode", "conv"].map(|field| case[field].as_str().unwrap());
        let row = &file["conversations"][mode][conversation];
        let options = RenderOptions {
            training: if mode == "train" { Training::Answers } else { Training::None },
            enable_thinking: case["enable_thinking"].as_bool(),
            ..options()
        };
        let name = format!("{template} {mode} {conversation} {:?} {wanted}", options.enable_thinking);
        let rendered = render(template, &messages(&row["messages"]), row.get("tools"), &options);
        let result = check(case, &name, rendered, tokenizer);
        (name, result)
    });
    report("templates.json", results.collect(), 1669, KNOWN.len());
}

fn check(
    case: &Value,
    name: &str,
    rendered: Result<swift_data::Rendered, String>,
    tokenizer: &swift_data::Tokenizer,
) -> Result<(), String> {
    match (case.get("error"), rendered) {
        (Some(_), Err(_)) => Ok(()),
        (Some(error), Ok(_)) => Err(format!("is rendered, and should fail with {error}")),
        (None, Err(error)) => Err(error),
        (None, Ok(rendered)) => {
            let encoded = rendered.tokenize(tokenizer).map_err(|error| error.to_string())?;
            match KNOWN.iter().find(|known| known.name == name) {
                Some(known) => known.compare(case, &encoded, tokenizer),
                None => compare(case, "", &encoded, tokenizer),
            }
        }
    }
}
