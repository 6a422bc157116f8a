//! The model's own chat template against `transformers`: `tests/golden/chat_templates`.

use std::fs;

use serde_json::{Map, Value};
use swift_data::{
    Encoded, Error, Message, RowColumns, Template, TemplateOptions, Tokenizer, TrainedParts, Unfit,
};

use crate::support::{golden, golden_json, messages};

/// Expressions that come out otherwise than in Python, with what they come out as.
const KNOWN: [(&str, &str); 18] = [
    // minijinja reads a tuple as a list. What filters and methods give as tuples are tuples.
    ("{{ (1, 'a') }}", "[1, 'a']"),
    ("{{ (1,) }}", "[1]"),
    // `~` cannot be redefined, and writes lists, dictionaries and large numbers as Rust does.
    ("{{ 'a' ~ yes ~ nothing ~ 1 ~ 2.0 ~ [1, 'x'] ~ missing }}", "aTrueNone12.0[1, \"x\"]"),
    ("{{ 'a' ~ large }}", "a10000000000000000.0"),
    (
        "{{ numbers ~ record }}",
        "[3, 1, 2]{\"b\": 1, \"a\": {\"items\": [1, \"x\", None, True, 2.0], \"keys\": 2}, \"é\": \"ü\"}",
    ),
    // What Python refuses is nothing to loop over, no part of the text, and an empty part.
    ("{% for x in nothing %}x{% endfor %}", ""),
    ("{{ 1 in 'abc1' }}", "True"),
    ("{{ missing[1:] }}", "[]"),
    // A mistake of minijinja: the end of a slice that goes backwards is not looked at.
    ("{{ numbers[2:0:-1] }}", "[2, 1, 3]"),
    // Methods are found when they are called, but are no attributes.
    ("{{ record.items is defined }}", "False"),
    ("{{ record.items is callable }}", "False"),
    ("{{ tools[0].function.parameters.properties.items is mapping }}", "True"),
    // Of two constants, `and` gives a truth value; of anything else, one of the two.
    ("{{ '' and 1 }}", "False"),
    ("{{ [] and 1 }}", "False"),
    // Operators that are missing: such rows are left out, with this as the reason.
    ("{{ '%s-%d' % ('a', 3) }}", "an error"),
    ("{{ '%s' % 'a' }}", "an error"),
    ("{{ 2 ** -1 }}", "an error"),
    ("{{ -yes }}", "an error"),
];

fn tokenizer(source: &str) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(golden("tokenizer").join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("chat_template.jinja"), source).unwrap();
    Tokenizer::load(folder.path()).unwrap()
}

fn template(source: &str, variables: &Value, now: &Value) -> Result<Template, Error> {
    let options = TemplateOptions {
        chat_template_kwargs: variables.as_object().cloned().unwrap_or_default(),
        now: Some(now.as_str().unwrap().parse().unwrap()),
        ..TemplateOptions::default()
    };
    Template::of_model(&tokenizer(source), options)
}

fn encode(template: &mut Template, row: &Value, parts: TrainedParts) -> Result<Encoded, Unfit> {
    let columns = RowColumns { tools: row.get("tools"), ..RowColumns::default() };
    let draft = template.draft(&messages(&row["messages"]), columns, parts).unwrap()?;
    template.finisher().finish(draft)
}

/// All that is rendered: of a conversation that ends with an answer the whole, else the prompt.
fn rendered(source: &str, variables: &Value, now: &Value, row: &Value) -> Result<String, String> {
    let mut template = template(source, variables, now).map_err(|error| error.to_string())?;
    let encoded = encode(&mut template, row, TrainedParts::None).map_err(|unfit| unfit.detail)?;
    Ok(template.tokenizer().decode(&encoded.input_ids).unwrap())
}

/// What is wrong, if anything is.
fn compare(expected: &Value, got: Result<String, String>) -> Option<String> {
    match (expected.get("text").and_then(Value::as_str), got) {
        (Some(text), Ok(got)) if text == got => None,
        (Some(text), got) => Some(format!("\n  is     {got:?}\n  should {text:?}")),
        // What Python calls its own errors is not compared.
        (None, Err(got)) => {
            let told = expected["error"].as_str().unwrap();
            let is_name = told.ends_with("Error") && !told.contains(' ');
            (!is_name && got != told).then(|| format!("\n  says   {got:?}\n  should {told:?}"))
        }
        (None, Ok(got)) => Some(format!("\n  is     {got:?}\n  should fail with {}", expected["error"])),
    }
}

#[test]
fn conversations_are_rendered_as_transformers_renders_them() {
    let file = golden_json("chat_templates/cases.json");
    let cases = file["cases"].as_array().unwrap();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let path = golden("chat_templates").join(case["template"].as_str().unwrap());
            let source = fs::read_to_string(path).unwrap();
            let row = &file["conversations"][case["conversation"].as_str().unwrap()];
            let variables = &case["chat_template_kwargs"];
            let wrong = compare(case, rendered(&source, variables, &file["now"], row))?;
            Some(format!("{} {} {variables}: {wrong}", case["template"], case["conversation"]))
        })
        .collect();
    assert!(wrong.is_empty(), "{}\n{} of {} cases", wrong.join("\n"), wrong.len(), cases.len());
    assert_eq!(cases.len(), 120);
}

#[test]
fn expressions_give_what_they_give_in_python() {
    let file = golden_json("chat_templates/cases.json");
    let row = &file["conversations"]["tool_call"];
    let expressions = file["expressions"].as_array().unwrap();
    let mut known = Map::new();
    let wrong: Vec<String> = expressions
        .iter()
        .filter_map(|expression| {
            let source = expression["source"].as_str().unwrap();
            let got = rendered(source, &file["variables"], &file["now"], row);
            if let Some((_, text)) = KNOWN.iter().find(|(known, _)| *known == source) {
                known.insert(source.to_owned(), Value::Null);
                assert_eq!(got.as_deref().unwrap_or("an error"), *text, "{source}");
                return None;
            }
            Some(format!("{source}: {}", compare(expression, got)?))
        })
        .collect();
    assert!(wrong.is_empty(), "{}\n{} of {} expressions", wrong.join("\n"), wrong.len(), expressions.len());
    assert_eq!((expressions.len(), known.len()), (441, KNOWN.len()));
}

#[test]
fn calls_of_tools_are_answers_that_are_trained_on() {
    let file = golden_json("chat_templates/cases.json");
    let trained = |template: &str, conversation: &str, parts| {
        let source = fs::read_to_string(golden("chat_templates").join(template)).unwrap();
        let mut template = self::template(&source, &Value::Null, &file["now"]).unwrap();
        let encoded = encode(&mut template, &file["conversations"][conversation], parts).unwrap();
        let tokens: Vec<_> = encoded.input_ids.iter().zip(&encoded.weights).collect();
        let runs = tokens.chunk_by(|left, right| (*left.1 > 0.0) == (*right.1 > 0.0));
        let runs = runs.filter(|run| *run[0].1 > 0.0);
        runs.map(|run| {
            let ids: Vec<u32> = run.iter().map(|(id, _)| **id).collect();
            template.tokenizer().decode(&ids).unwrap()
        })
        .collect::<Vec<_>>()
    };
    let bern = r#"{"name": "get_weather", "arguments": {"location": "Bern", "days": 0}}"#;
    let calls = format!(
        "<tool_call>\n{{\"name\": \"add\", \"arguments\": {{}}}}\n</tool_call>\n\
         <tool_call>\n{bern}\n</tool_call><|im_end|>\n"
    );
    let answer = "<think>\n\n</think>\n\n21.5 °C and sunny.\n<|im_end|>\n".to_owned();
    assert_eq!(
        trained("tagged_calls.jinja", "tool_calls_at_once", TrainedParts::Answers),
        [calls, answer.clone()]
    );
    assert_eq!(trained("tagged_calls.jinja", "tool_calls_at_once", TrainedParts::LastRound), [answer]);
    // What is said before a call is part of the same answer.
    let [words, call] = &trained("headers.jinja", "tool_call", TrainedParts::Answers)[..] else {
        panic!("two answers")
    };
    assert!(
        words.starts_with("{\"name\": \"get_weather\", \"parameters\": {\"location\": \"Zürich "),
        "{words}"
    );
    assert!(words.ends_with("1e+22]}]}}<|eot_id|>"), "{words}");
    assert_eq!(call, "21.5 °C and sunny.<|eot_id|>");
    let [call] = &trained("arguments_as_elements.jinja", "tool_call_last", TrainedParts::Answers)[..] else {
        panic!("one answer")
    };
    assert!(call.starts_with("<function=get_weather>\n<parameter=location>Zürich"), "{call}");
    assert!(call.ends_with("</function><|im_end|>\n"), "{call}");
}

#[test]
fn what_cannot_be_given_to_the_models_own_template_is_told() {
    let now = Value::from("2025-03-14T00:00:00");
    let source = "{% for message in messages %}{{ message.content }}{% endfor %}";
    let mut template = template(source, &Value::Null, &now).unwrap();
    let mut why = |turns: &[(&str, &str)], tools: Option<&str>| {
        let turns: Vec<Message> = turns.iter().map(|(role, content)| Message::new(*role, *content)).collect();
        let tools = tools.map(|tools| tools.parse::<Value>().unwrap());
        let columns = RowColumns { tools: tools.as_ref(), ..RowColumns::default() };
        let draft = template.draft(&turns, columns, TrainedParts::Answers).unwrap().unwrap();
        template.finisher().finish(draft).unwrap_err().reason
    };
    let call = r#"{"name": "f"}"#;
    assert_eq!(
        why(&[("user", "a"), ("tool_call", call), ("assistant", "b")], None),
        "an answer goes on after it has called a tool"
    );
    assert_eq!(why(&[("user", "a"), ("tool_call", "f(x)")], None), "a tool call is not a JSON object");
    assert_eq!(why(&[("user", "a"), ("tool_call", "{}")], None), "a tool call has no `name`");
    assert_eq!(why(&[("user", "a"), ("assistant", "b")], Some("[1]")), "`tools` is not a list of tools");
    // The template leaves calls out.
    assert_eq!(
        why(&[("user", "a"), ("tool_call", call)], None),
        "the chat template changes the answers, so that they cannot be found"
    );
}

#[test]
fn variables_of_a_row_win_over_those_of_the_run_and_change_the_digest() {
    let now = Value::from("2025-03-14T00:00:00");
    let source =
        "{{ enable_thinking }} {{ level }}{% for message in messages %}|{{ message.content }}{% endfor %}";
    let turns = [Message::new("user", "a"), Message::new("assistant", "b")];
    let run = serde_json::json!({"enable_thinking": false, "level": 1});
    let mut template = template(source, &run, &now).unwrap();
    let mut encode = |own: Option<&Value>| {
        let columns = RowColumns { chat_template_kwargs: own, ..RowColumns::default() };
        let draft = template.draft(&turns, columns, TrainedParts::Everything).unwrap().unwrap();
        let encoded = template.finisher().finish(draft)?;
        Ok::<_, Unfit>(template.tokenizer().decode(&encoded.input_ids).unwrap())
    };
    assert_eq!(encode(None).unwrap(), "False 1|a|b");
    assert_eq!(encode(Some(&serde_json::json!({"level": "high"}))).unwrap(), "False high|a|b");
    let unfit = encode(Some(&serde_json::json!({"messages": []}))).unwrap_err();
    assert_eq!(unfit.to_string(), "`chat_template_kwargs` sets what the conversation is: `messages`");
    let other = self::template(source, &Value::Null, &now).unwrap();
    assert_ne!(template.digest(), other.digest());
    let error = self::template(source, &serde_json::json!({"tools": []}), &now).unwrap_err();
    assert_eq!(error.to_string(), "`chat-template-kwargs` must not set `tools`, which is the conversation");
}

#[test]
fn templates_by_name_know_some_variables_and_the_models_own_knows_no_options_of_theirs() {
    let tokenizer = crate::support::tokenizer();
    let options = |variables: Value| TemplateOptions {
        chat_template_kwargs: variables.as_object().cloned().unwrap(),
        ..TemplateOptions::default()
    };
    let prompt = |name: &str, run: Value, row: Value| {
        let mut template = crate::support::template_with(name, &tokenizer, options(run)).unwrap();
        let columns = RowColumns { chat_template_kwargs: Some(&row), ..RowColumns::default() };
        let draft = template.draft(&[Message::new("user", "a")], columns, TrainedParts::None).unwrap()?;
        let encoded = template.finisher().finish(draft)?;
        Ok::<_, Unfit>(tokenizer.decode(&encoded.input_ids).unwrap())
    };
    let empty = serde_json::json!({});
    let on = serde_json::json!({"enable_thinking": true});
    let off = prompt("qwen3", empty.clone(), empty.clone()).unwrap();
    assert!(off.ends_with("<think>\n\n</think>\n\n"), "{off}");
    assert!(prompt("qwen3", on.clone(), empty.clone()).unwrap().ends_with("assistant\n"));
    assert!(prompt("qwen3", empty, on).unwrap().ends_with("assistant\n"));
    let unknown = serde_json::json!({"level": 1});
    let error = crate::support::template_with("qwen3", &tokenizer, options(unknown)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`chat-template-kwargs` has `level` as `1`, which templates by name do not know"
    );
    let foreign = TemplateOptions { agent_template: Some("hermes".into()), ..TemplateOptions::default() };
    let error = Template::of_model(&tokenizer, foreign).unwrap_err();
    assert_eq!(error.to_string(), "`agent-template` is for templates by name and not for the model's own");
}
