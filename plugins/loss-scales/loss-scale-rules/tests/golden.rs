//! Every case that ms-swift 4.6.0 gave.

use plugin_loss_scale_rules::LossScaleRules;
use serde_json::Value;
use swift_plugin::LossScale as _;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/templates/loss_scale.json");

/// What the host keeps of a loss scale: which answers are trained on.
const STRATEGIES: [&str; 3] = ["default", "last_round", "all"];

#[test]
fn answers_are_cut_and_weighed_as_in_the_reference() {
    let golden: Value = serde_json::from_slice(&std::fs::read(GOLDEN).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let names = case["loss_scale"].as_str().unwrap().split('+');
        let rules: Vec<&str> = names.filter(|name| !STRATEGIES.contains(name)).collect();
        let plugin = LossScaleRules { rules: rules.join("+") };
        let weighed = plugin.weigh(case["response"].as_str().unwrap(), case["query"].as_str()).unwrap();
        let (parts, weights): (Vec<String>, Vec<f64>) = weighed.into_iter().unzip();
        assert_eq!(
            (&Value::from(parts), &Value::from(weights)),
            (&case["parts"], &case["weights"]),
            "{case}"
        );
    }
    assert_eq!(cases.len(), 176);
    println!("loss_scale.json: {} of 176 cases pass", cases.len());
}

#[test]
fn a_question_can_weigh_the_whole_answer() {
    let plugin = LossScaleRules { rules: "agentflan".into() };
    let weighed = plugin.weigh("Action: a", Some("So: What is the value of x?")).unwrap();
    assert_eq!(weighed, [("Action: a".to_owned(), 3.0)]);
}

#[test]
fn what_is_ignored_at_the_beginning_of_an_answer_is_not_ignored_later() {
    let plugin = LossScaleRules { rules: "hermes+ignore_empty_think".into() };
    let weighed = plugin.weigh("<tool_call>x</tool_call></think> y", None).unwrap();
    assert_eq!(weighed, [("<tool_call>x</tool_call>".to_owned(), 2.0), ("</think> y".to_owned(), 1.0)]);
}

#[test]
fn an_unknown_rule_is_named_with_those_that_are_known() {
    let error = LossScaleRules { rules: "hermess".into() }.weigh("a", None).unwrap_err();
    assert!(
        error.message().starts_with("there is no loss scale `hermess`; there are `agentflan`, "),
        "{error}"
    );
}
