//! What grammars allow, with the vocabulary of a real tokeniser.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

use std::path::Path;

use serde_json::{Value, json};
use swift_data::Tokenizer;
use swift_infer::{Grammar, GrammarLimits, Grammars, LogitsProcessor, Progress};

/// Ids of the model, more than its tokeniser has.
const VOCABULARY: usize = 1024;

fn tokenizer() -> Tokenizer {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tiny-qwen2"));
    Tokenizer::load(folder).unwrap()
}

fn grammars(tokenizer: &Tokenizer) -> Grammars {
    let end = tokenizer.token_id("<|im_end|>").unwrap();
    Grammars::new(tokenizer, &[end], VOCABULARY, GrammarLimits::default()).unwrap()
}

/// Tokens that may follow `generated`.
fn allowed(constraint: &mut dyn LogitsProcessor, generated: &[u32]) -> Vec<u32> {
    let mut logits = vec![0.0; VOCABULARY];
    constraint.process(&Progress { prompt: &[], generated, seed: 0 }, &mut logits).unwrap();
    (0..).zip(logits).filter(|(_, logit)| *logit == 0.0).map(|(id, _)| id).collect()
}

/// A number in `0 .. 1`, by the multiplication of a hash.
fn uniform(seed: u64, position: u64) -> f64 {
    let mix = |value: u64| (value ^ (value >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mix(mix(seed + 1) ^ mix(position + 1)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Follows the grammar by tokens chosen by a hash; gives the text, and whether it came to an end.
fn follow(grammars: &Grammars, tokenizer: &Tokenizer, grammar: &Grammar, seed: u64) -> (String, bool) {
    let mut constraint = grammars.compile(grammar).unwrap();
    let mut generated = Vec::new();
    for position in 0..300 {
        let allowed = allowed(&mut constraint, &generated);
        let place = uniform(seed, position) * allowed.len() as f64;
        let token = allowed[place as usize];
        if token == tokenizer.token_id("<|im_end|>").unwrap() {
            return (tokenizer.text(&generated, true).unwrap(), true);
        }
        generated.push(token);
        if constraint.accept(token).unwrap() {
            return (tokenizer.text(&generated, true).unwrap(), true);
        }
    }
    (tokenizer.text(&generated, true).unwrap(), false)
}

#[test]
fn only_the_beginnings_of_a_choice_are_allowed() {
    let tokenizer = tokenizer();
    let grammars = grammars(&tokenizer);
    let grammar = Grammar::Choice(vec!["yes".into(), "no \"\u{e4}\"\n".into()]);
    let mut constraint = grammars.compile(&grammar).unwrap();
    let texts: Vec<String> =
        allowed(&mut constraint, &[]).into_iter().map(|id| tokenizer.decode(&[id]).unwrap()).collect();
    assert!(texts.contains(&"y".to_owned()) && texts.contains(&"n".to_owned()), "{texts:?}");
    assert!(texts.iter().all(|text| "yes".starts_with(text) || "no \"".starts_with(text)), "{texts:?}");
    for seed in 0..20 {
        let (text, ended) = follow(&grammars, &tokenizer, &grammar, seed);
        assert!(ended && ["yes", "no \"\u{e4}\"\n"].contains(&text.as_str()), "{text}");
    }
}

#[test]
fn random_answers_are_json_of_the_schema() {
    let tokenizer = tokenizer();
    let grammars = grammars(&tokenizer);
    let schema = json!({
        "type": "object",
        "properties": {
            "a": { "type": "integer", "minimum": 0, "maximum": 99 },
            "b": { "enum": ["x", "y", null] },
            "c": { "$ref": "#/$defs/c" },
        },
        "required": ["a", "b", "c"],
        "additionalProperties": false,
        "$defs": { "c": { "type": "array", "items": { "type": "boolean" }, "minItems": 1, "maxItems": 3 } },
    });
    let grammar = Grammar::JsonSchema { schema, strict: true };
    let mut ends = 0;
    for seed in 0..30 {
        let (text, ended) = follow(&grammars, &tokenizer, &grammar, seed);
        if ended {
            ends += 1;
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value.as_object().unwrap().len(), 3, "{text}");
            assert!(value["a"].as_u64().unwrap() < 100, "{text}");
            assert!(["\"x\"", "\"y\"", "null"].contains(&value["b"].to_string().as_str()), "{text}");
            let list = value["c"].as_array().unwrap();
            assert!((1..=3).contains(&list.len()) && list.iter().all(Value::is_boolean), "{text}");
        }
    }
    assert!(ends > 10, "{ends}");
}

#[test]
fn an_expression_that_could_go_on_allows_an_end_too() {
    let tokenizer = tokenizer();
    let grammars = grammars(&tokenizer);
    let mut constraint = grammars.compile(&Grammar::Regex("a+".into())).unwrap();
    let (letter, end) = (tokenizer.token_id("a").unwrap(), tokenizer.token_id("<|im_end|>").unwrap());
    assert!(!allowed(&mut constraint, &[]).contains(&end));
    assert!(!constraint.accept(letter).unwrap());
    let next = allowed(&mut constraint, &[letter]);
    assert!(next.contains(&end) && next.contains(&letter));
    assert!(constraint.accept(end).unwrap());
}

#[test]
fn a_fork_goes_its_own_way_from_the_same_place() {
    let tokenizer = tokenizer();
    let grammars = grammars(&tokenizer);
    let mut first = grammars.compile(&Grammar::Regex("ab[cd]".into())).unwrap();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|text| tokenizer.token_id(text).unwrap());
    first.accept(a).unwrap();
    let mut second = first.fork();
    assert_eq!(allowed(&mut first, &[a]), allowed(second.as_mut(), &[a]));
    first.accept(b).unwrap();
    assert!(first.accept(c).unwrap());
    second.accept(b).unwrap();
    assert!(allowed(second.as_mut(), &[a, b]).contains(&d));
    // What was not told is caught up with.
    let mut third = grammars.compile(&Grammar::Regex("ab[cd]".into())).unwrap();
    assert_eq!(allowed(&mut third, &[a, b]), allowed(second.as_mut(), &[a, b]));
}

#[test]
fn a_grammar_at_its_end_lets_an_answer_end_although_that_was_ruled_out() {
    let tokenizer = tokenizer();
    let end = tokenizer.token_id("<|im_end|>").unwrap();
    let mut constraint = grammars(&tokenizer).compile(&Grammar::Choice(vec!["a".into()])).unwrap();
    assert!(constraint.accept(tokenizer.token_id("a").unwrap()).unwrap());
    let mut logits = vec![0.0; VOCABULARY];
    logits[end as usize] = f32::NEG_INFINITY;
    let generated = [tokenizer.token_id("a").unwrap()];
    constraint.process(&Progress { prompt: &[], generated: &generated, seed: 0 }, &mut logits).unwrap();
    assert_eq!(logits[end as usize], 0.0);
}

#[test]
fn calls_have_the_arguments_of_their_tool() {
    let tokenizer = tokenizer();
    let grammars = grammars(&tokenizer);
    let tool = |name: &str, schema| (name.to_owned(), schema);
    let on = json!({ "type": "object", "properties": { "on": { "$ref": "#/$defs/flag" } }, "required": ["on"],
                     "additionalProperties": false, "$defs": { "flag": { "type": "boolean" } } });
    let none = json!({ "type": "object", "additionalProperties": false });
    let grammar = Grammar::Calls {
        begin: "<tool_call>".into(),
        end: "</tool_call>".into(),
        tools: vec![tool("switch", on), tool("a \"b\"", none)],
        several: false,
    };
    let mut ends = 0;
    for seed in 0..20 {
        let (text, ended) = follow(&grammars, &tokenizer, &grammar, seed);
        let inner = text.strip_prefix("<tool_call>\n").and_then(|text| text.strip_suffix("\n</tool_call>"));
        if ended {
            ends += 1;
            let call: Value = serde_json::from_str(inner.expect(&text)).unwrap();
            match call["name"].as_str() {
                Some("switch") => assert!(call["arguments"]["on"].is_boolean(), "{text}"),
                Some("a \"b\"") => assert_eq!(call["arguments"], json!({})),
                _ => panic!("{text}"),
            }
        }
    }
    assert!(ends > 5, "{ends}");
}

#[test]
fn what_is_no_grammar_is_refused_with_a_reason() {
    let tokenizer = tokenizer();
    let grammars = grammars(&tokenizer);
    let deep = "(".repeat(200_000);
    let schema = |schema| Grammar::JsonSchema { schema, strict: true };
    for (grammar, part) in [
        (Grammar::Regex("(".into()), "regex"),
        (Grammar::Regex(deep.clone()), "deep"),
        (Grammar::Lark(format!("start: {deep}")), "deep"),
        (Grammar::Lark("start: missing".into()), "missing"),
        (Grammar::Choice(vec![]), "at least one"),
        (Grammar::Choice(vec!["x".repeat(300_000)]), "more than 262144"),
        (schema(json!({ "type": "nothing" })), "nothing"),
        (schema(json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/b" } } })), ""),
        (schema(json!(true)), "object"),
        (schema(json!({ "enum": [] })), ""),
    ] {
        let shown: String = format!("{grammar:?}").chars().take(80).collect();
        let error = grammars.compile(&grammar).err().unwrap_or_else(|| panic!("{shown}")).to_string();
        assert!(error.contains(part) && error.lines().count() == 1, "{shown}: {error}");
    }
}

#[test]
fn keywords_that_cannot_be_enforced_are_refused_where_that_is_asked_for() {
    let tokenizer = tokenizer();
    let grammars = grammars(&tokenizer);
    for (keyword, value) in [
        ("uniqueItems", json!(true)),
        ("not", json!({ "const": 1 })),
        ("contains", json!({ "const": 1 })),
        ("if", json!({ "const": [] })),
    ] {
        let mut schema = json!({ "type": "array", "items": { "type": "integer" } });
        schema[keyword] = value;
        let compile = |strict| grammars.compile(&Grammar::JsonSchema { schema: schema.clone(), strict });
        let error = compile(true).err().unwrap_or_else(|| panic!("{keyword}")).to_string();
        assert!(error.contains(keyword), "{error}");
        assert!(compile(false).is_ok(), "{keyword}");
    }
}

#[test]
fn limits_are_kept() {
    let tokenizer = tokenizer();
    let limits = GrammarLimits { max_symbols: 50, ..GrammarLimits::default() };
    let grammars = Grammars::new(&tokenizer, &[], VOCABULARY, limits).unwrap();
    let properties: serde_json::Map<String, Value> =
        (0..100).map(|index| (format!("p{index}"), json!({ "type": "array" }))).collect();
    let schema = json!({ "type": "object", "properties": properties });
    assert!(grammars.compile(&Grammar::JsonSchema { schema, strict: true }).is_err());
    // Without an end of its own a model stops where the grammar does.
    let mut constraint = grammars.compile(&Grammar::Choice(vec!["a".into()])).unwrap();
    assert!(constraint.accept(tokenizer.token_id("a").unwrap()).unwrap());
}
