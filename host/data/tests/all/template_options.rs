//! Every case of ms-swift's template options, from rows to tokens: `tests/golden/templates/template_options.json`.

use std::collections::BTreeMap;

use plugin_loss_scale_rules::LossScaleRules;
use serde_json::{Value, json};
use swift_data::{
    AdapterFailure, Dataset, Encoded, Error, Example, Field, LoadOptions, RowColumns, RowShape, Template,
    TemplateOptions, TrainedParts, Weigher,
};
use swift_plugin::LossScale as _;

use crate::support::{
    Encode as _, NativeTemplates, expect_encoded, file, golden_json, label_spans, load, messages, tokenizer,
};

/// What is another thing here, by its reason, with how many cases that is. Each is compared as far as it goes: in none of
/// them is what the reference does of use.
const DIFFERENT: [(&str, usize); 3] = [
    // The reference keeps a row of which truncation leaves no label. A step on nothing but such rows divides by no labels, and
    // its loss and all weights after it are not numbers. Here such a row is left out, and counted. The tokens are the same.
    ("nothing is left to train on", 2),
    // GLM-4.5: before calls, the new line behind the name of the model's role is no token. The reference looks for the call in
    // the part that follows the name, and leaves the line in where a rule for loss weights cuts there: what a model reads
    // would depend on what its tokens weigh, and be another thing in training than in use. All else is the same.
    ("GLM-4.5 with rules for tool calls", 4),
    // The reference's `jinja` does not tell answers from questions, and trains on both. Here answers are found, and `all` is
    // what it does there: so compared, it is the same.
    ("`template_backend` is `jinja`", 4),
];

struct Rules(LossScaleRules);

impl Weigher for Rules {
    fn name(&self) -> &str {
        "loss-scale-rules"
    }

    fn digest(&self) -> &str {
        "sha256:0"
    }

    fn weigh(&mut self, answer: &str, question: Option<&str>) -> Result<Vec<(String, f64)>, AdapterFailure> {
        let failed = |error: swift_plugin::Error| AdapterFailure { message: error.to_string(), hint: None };
        self.0.weigh(answer, question).map_err(failed)
    }
}

/// How a case is read.
struct Case<'a> {
    case: &'a Value,
    row: &'a Value,
}

impl Case<'_> {
    fn text(&self, option: &str) -> Option<&str> {
        self.case["options"].get(option).and_then(Value::as_str)
    }

    fn flag(&self, option: &str) -> Option<bool> {
        self.case["options"].get(option).and_then(Value::as_bool)
    }

    fn scale(&self) -> (TrainedParts, &str) {
        TrainedParts::split(self.text("loss_scale").unwrap_or("default"))
    }

    fn name(&self) -> &str {
        match self.text("template_backend") {
            Some(backend) => backend,
            None if self.flag("use_chat_template") == Some(false) => "dummy",
            None => self.case["template"].as_str().unwrap(),
        }
    }

    fn template(&self, name: &str) -> Template {
        let options = TemplateOptions {
            system: self.text("default_system").map(str::to_owned),
            response_prefix: self.text("response_prefix").map(str::to_owned),
            preserve_thinking: self.flag("preserve_thinking"),
            add_non_thinking_prefix: self.flag("add_non_thinking_prefix").unwrap_or(true),
            now: Some("2025-03-14T00:00:00".parse().unwrap()),
            ..TemplateOptions::default()
        };
        let rules = Some(self.scale().1).filter(|rules| !rules.is_empty());
        let rules =
            rules.map(|rules| Box::new(Rules(LossScaleRules { rules: rules.into() })) as Box<dyn Weigher>);
        Template::new(name, vec![Box::<NativeTemplates>::default()], rules, &tokenizer(), options).unwrap()
    }

    fn load(&self, name: &str, parts: TrainedParts) -> Result<Example, Error> {
        self.dataset(name, parts)?.example(0)
    }

    fn dataset(&self, name: &str, parts: TrainedParts) -> Result<Dataset, Error> {
        let is_pair = ["rlhf", "kto"].contains(&self.case["mode"].as_str().unwrap());
        let options = LoadOptions {
            shape: if is_pair { RowShape::Pair } else { RowShape::Conversation },
            trained_parts: parts,
            max_length: self.case["options"]["max_length"].as_u64().map(|length| length as usize),
            truncation: match self.text("truncation_strategy") {
                None | Some("raise") => swift_data::Truncation::Delete,
                Some(strategy) => strategy.parse().unwrap(),
            },
            ..LoadOptions::default()
        };
        let (_folder, path) = file("rows.jsonl", self.row.to_string());
        load(&[&path], &mut self.template(name), &options)
    }

    /// The tokens of the whole conversation.
    fn whole(&self) -> Encoded {
        let (parts, _) = self.scale();
        self.template(self.name()).encode(&messages(&self.row["messages"]), parts).unwrap()
    }

    fn prompt(&self) -> Vec<u32> {
        let mut template = self.template(self.name());
        let columns = RowColumns { tools: self.row.get("tools"), ..RowColumns::default() };
        let draft = template.draft(&messages(&self.row["messages"]), columns, TrainedParts::None).unwrap();
        template.finisher().finish(draft.unwrap()).unwrap().input_ids
    }

    /// Compares one sequence, whose fields begin with `prefix`.
    fn expect(&self, prefix: &str, encoded: &Encoded) {
        let golden = |what: &str| &self.case[format!("{prefix}{what}")];
        expect_encoded(encoded, golden("input_ids"), golden("label_spans"), &self.case.to_string());
        if let Ok(mut weights) = serde_json::from_value::<Vec<f32>>(golden("loss_scale").clone()) {
            // The first token is never trained on, whatever its factor.
            weights[0] = 0.0;
            assert_eq!(encoded.weights, weights, "{}", self.case);
        }
    }

    /// Compares the parts of a row that is split. Those without labels are left out here, and counted.
    fn expect_split(&self, golden: &[Value]) {
        let dataset = self.dataset(self.name(), self.scale().0).unwrap();
        let tokens = golden.iter().flat_map(|part| part["input_ids"].as_array().unwrap());
        assert_eq!(tokens.cloned().collect::<Value>(), json!(self.whole().input_ids), "{}", self.case);
        let labelled = golden.iter().filter(|part| part["label_spans"] != json!([]));
        let mut count = 0;
        for (index, part) in labelled.enumerate() {
            let example = dataset.example(index).unwrap();
            expect_encoded(&example.sequences[0], &part["input_ids"], &part["label_spans"], "a part");
            count += 1;
        }
        let report = dataset.report();
        let left_out: usize = report.dropped.iter().map(|dropped| dropped.count).sum();
        assert_eq!((dataset.len(), left_out, report.split), (count, golden.len() - count, 1));
    }

    /// Compares the case; or says why that is another thing.
    fn check(&self) -> Option<&'static str> {
        let (parts, rules) = self.scale();
        if let Some(golden) = self.case["split"].as_array() {
            self.expect_split(golden);
            return None;
        }
        if self.case["mode"] == "transformers" {
            assert_eq!(Value::from(self.prompt()), self.case["input_ids"], "{}", self.case);
            return None;
        }
        let is_without_labels = self.case["label_spans"].as_array().is_some_and(Vec::is_empty);
        if self.case.get("error").is_some() || is_without_labels {
            let loaded = self.load(self.name(), parts);
            assert!(matches!(loaded, Err(Error::NothingLeft { rows: 1, .. })), "{}", self.case);
            if is_without_labels {
                let length = self.case["options"]["max_length"].as_u64().unwrap() as usize;
                assert_eq!(json!(self.whole().input_ids[..length]), self.case["input_ids"]);
            }
            return is_without_labels.then_some("nothing is left to train on");
        }
        if self.name() == "jinja" {
            let all = self.load("jinja", TrainedParts::Everything).unwrap().sequences;
            self.expect("", &all[0]);
            for parts in [TrainedParts::Answers, TrainedParts::LastRound] {
                let own = self.load("jinja", parts).unwrap();
                assert_eq!(own, self.load("qwen", parts).unwrap());
                assert!(label_spans(&own.sequences[0]) != label_spans(&all[0]));
            }
            return Some("`template_backend` is `jinja`");
        }
        let Example { sequences, fields, .. } = self.load(self.name(), parts).unwrap();
        let is_call = ["tool_call", "tool_parallel"].contains(&self.case["conv"].as_str().unwrap());
        if self.name() == "glm4_5" && is_call && rules.split('+').any(|rule| rule == "hermes") {
            let ids: Vec<u32> = serde_json::from_value(self.case["input_ids"].clone()).unwrap();
            let line = tokenizer().encode("\n").unwrap()[0];
            let [own, theirs] = [&sequences[0].input_ids, &ids].map(|ids| {
                let (lines, others): (Vec<u32>, Vec<u32>) = ids.iter().partition(|id| **id == line);
                (others, lines.len())
            });
            let calls = if self.case["conv"] == "tool_call" { 1 } else { 2 };
            assert_eq!((own.0, own.1 + calls), theirs, "{}", self.case);
            return Some("GLM-4.5 with rules for tool calls");
        }
        match sequences.as_slice() {
            [one] => self.expect("", one),
            [chosen, rejected] => {
                self.expect("chosen_", chosen);
                self.expect("rejected_", rejected);
            }
            other => panic!("{} sequences", other.len()),
        }
        let margin = self.case.get("margin").and_then(Value::as_f64);
        let margin = margin.map(|value| ("margin".to_owned(), Field::Number(value)));
        assert_eq!(fields, margin.into_iter().collect::<Vec<_>>(), "{}", self.case);
        None
    }
}

#[test]
fn every_option_gives_what_it_gives_in_ms_swift() {
    let golden = golden_json("templates/template_options.json");
    let mut different: BTreeMap<&str, usize> = BTreeMap::new();
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let row = &golden["inputs"][case["inputs"].as_str().unwrap()];
        if let Some(reason) = (Case { case, row }).check() {
            *different.entry(reason).or_default() += 1;
        }
    }
    assert_eq!(different, BTreeMap::from(DIFFERENT));
    assert_eq!(cases.len(), 265);
}
