//! Files of all kinds, through the standard dataset adapters.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use swift_data::{
    Adapter, AdapterFailure, Dataset, Error, Field, LoadOptions, Message, Outcome, RowShape, Sample,
};

use crate::support::{file, golden_json, template};

/// A dataset plugin as native code, which shows what it has made of rows.
struct Native<P> {
    name: &'static str,
    plugin: P,
    seen: Seen,
}

/// All samples and refusals so far.
type Seen = Rc<RefCell<Vec<Outcome>>>;

impl<P: swift_plugin::Dataset> Adapter for Native<P> {
    fn name(&self) -> &str {
        self.name
    }

    fn digest(&self) -> &str {
        "sha256:0"
    }

    fn matches(&mut self, columns: &[String]) -> Result<u32, AdapterFailure> {
        Ok(self.plugin.matches(columns))
    }

    fn convert(&mut self, rows: Vec<String>) -> Result<Vec<Outcome>, AdapterFailure> {
        let convert =
            |row: &String| swift_plugin::testing::convert(&self.plugin, serde_json::from_str(row).unwrap());
        let outcomes: Vec<Outcome> = rows.iter().map(|row| outcome(convert(row).unwrap())).collect();
        self.seen.borrow_mut().extend(outcomes.clone());
        Ok(outcomes)
    }
}

fn outcome(outcome: swift_plugin::Outcome) -> Outcome {
    let messages = |messages: Vec<swift_plugin::Message>| -> Vec<Message> {
        let message = |swift_plugin::Message { role, content, train, loss_scale }| Message {
            role,
            content,
            train,
            loss_scale,
        };
        messages.into_iter().map(message).collect()
    };
    match outcome {
        swift_plugin::Outcome::Skipped(reason) => Outcome::Skipped(reason),
        swift_plugin::Outcome::Sample(sample) => Outcome::Sample(Sample {
            messages: messages(sample.messages),
            rejected: sample.rejected.map(messages),
            positives: sample.positives.into_iter().map(messages).collect(),
            negatives: sample.negatives.into_iter().map(messages).collect(),
            columns: sample
                .columns
                .into_iter()
                .map(|(name, value)| (name, serde_json::from_str(&value).unwrap()))
                .collect(),
        }),
    }
}

/// Loads a file through the standard adapters, and what they made of its rows.
fn load(path: &str, options: &LoadOptions) -> (Result<Dataset, Error>, Vec<Outcome>) {
    fn native<P: swift_plugin::Dataset + 'static>(name: &'static str, seen: &Seen) -> Box<dyn Adapter> {
        Box::new(Native { name, plugin: P::default(), seen: Rc::clone(seen) })
    }
    let seen = Seen::default();
    let mut adapters = [
        native::<plugin_alpaca::Alpaca>("alpaca", &seen),
        native::<plugin_messages::Messages>("messages", &seen),
        native::<plugin_preference::Preference>("preference", &seen),
    ];
    let dataset = Dataset::load(&[path.parse().unwrap()], &mut adapters, &mut template("qwen"), options);
    (dataset, seen.take())
}

/// The messages of all samples, as ms-swift shows them.
fn shown(outcomes: &[Outcome]) -> Value {
    let messages = |outcome: &Outcome| match outcome {
        Outcome::Sample(sample) => json!({"messages": sample.messages}),
        Outcome::Skipped(reason) => panic!("{reason}"),
    };
    outcomes.iter().map(messages).collect()
}

/// Reasons to leave rows out, in order of first appearance.
fn reasons(dataset: &Dataset) -> Vec<&str> {
    dataset.report().dropped.iter().map(|dropped| dropped.reason.as_str()).collect()
}

#[test]
fn files_of_all_kinds_and_renamed_columns_are_read_as_ms_swift_reads_them() {
    let golden = golden_json("datasets.json");
    let mut same = Vec::new();
    for case in golden["cases"].as_array().unwrap() {
        let columns = &case["options"]["columns"];
        let (name, text) = match (case["file"].as_str(), case["rows"].as_array()) {
            (Some(name), _) => (name, case["text"].as_str().unwrap().to_owned()),
            (None, Some(rows)) if !columns.is_null() => {
                ("d.jsonl", rows.iter().map(|row| format!("{row}\n")).collect())
            }
            _ => continue,
        };
        let (_folder, path) = file(name, text);
        let columns = serde_json::from_value(columns.clone()).unwrap_or_default();
        let (dataset, outcomes) = load(&path, &LoadOptions { columns, ..LoadOptions::default() });
        assert_eq!(shown(&outcomes), case["result"], "{}", case["name"]);
        // ms-swift would train on an answer that says nothing.
        let dropped = if name == "d.txt" { vec!["the answer is empty"] } else { Vec::new() };
        assert_eq!(reasons(&dataset.unwrap()), dropped, "{}", case["name"]);
        same.push(case["name"].as_str().unwrap());
    }
    let names = ["columns_mapping", "columns_mapping_messages", "csv", "csv_alpaca", "json_list", "txt"];
    assert_eq!(same, names);
}

#[test]
fn a_csv_column_has_numbers_or_truths_only_if_all_its_cells_are() {
    let text = "query,response,label,score,good,Code,mixed\n\
        \"a, \"\"b\"\"\nc\",3,1,0.5,True,007,1\n\
        q,4,2,-1e3,false,8,x\n";
    let (_folder, path) = file("A.CSV", text);
    let (dataset, outcomes) = load(&path, &LoadOptions::default());
    let messages = |question: &str, answer: &str| json!({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]});
    assert_eq!(shown(&outcomes), json!([messages("a, \"b\"\nc", "3"), messages("q", "4")]));
    let [Outcome::Sample(first), _] = outcomes.as_slice() else { panic!() };
    let columns = [
        ("label", json!(1)),
        ("score", json!(0.5)),
        ("good", json!(true)),
        ("Code", json!("007")),
        ("mixed", json!("1")),
    ];
    assert_eq!(first.columns, columns.map(|(name, value)| (name.to_owned(), value)));
    let fields = [("label", 2.0), ("score", -1000.0), ("good", 0.0)];
    let fields = fields.map(|(name, number)| (name.to_owned(), Field::Number(number)));
    assert_eq!(dataset.unwrap().example(1).unwrap().fields, fields);
}

#[test]
fn a_bad_csv_file_is_an_error_that_names_the_line() {
    let of = |text: &str| {
        let (folder, path) = file("a.csv", text);
        let error = load(&path, &LoadOptions::default()).0.unwrap_err();
        (error.to_string().replace(folder.path().to_str().unwrap(), "DIR"), error.hint())
    };
    let (message, hint) = of("query,response\n\"q\n\",a\nq,a,b\n");
    assert_eq!(message, "Line 4 of `DIR/a.csv` is not CSV: it has 3 cells, and there are 2 columns");
    assert!(hint.unwrap().starts_with("the first line names the columns"));
    assert_eq!(of("query,query\nq,a\n").0, "Line 1 of `DIR/a.csv` is not CSV: two columns are named `query`");
    assert_eq!(of("query,response\n").0, "The dataset `DIR/a.csv` is empty");
    assert_eq!(of("").0, "The dataset `DIR/a.csv` is empty");
}

#[test]
fn a_row_left_out_of_a_csv_or_text_file_is_named_by_its_line() {
    let line = |name: &str, text: &str| {
        let (_folder, path) = file(name, text);
        let dataset = load(&path, &LoadOptions::default()).0.unwrap();
        let dropped = &dataset.report().dropped[0];
        (dropped.reason.clone(), dropped.first[0].line)
    };
    let empty = || "the answer is empty".to_owned();
    assert_eq!(line("a.csv", "query,response\n\"q\n\nr\",a\nq,\n"), (empty(), 5));
    assert_eq!(line("a.txt", "a\r\n\r\nb"), (empty(), 2));
}

#[test]
fn columns_get_other_names_before_an_adapter_sees_them() {
    let renamed = |columns: Value, text: &str| {
        let (_folder, path) = file("a.jsonl", text);
        let columns = serde_json::from_value(columns).unwrap();
        let (dataset, outcomes) = load(&path, &LoadOptions { columns, ..LoadOptions::default() });
        dataset.map(|_| shown(&outcomes)).map_err(|error| error.to_string().replace(&path, "FILE"))
    };
    let row = r#"{"Frage": "q", "antwort": "a", "text": "t"}"#;
    let names = json!({"frage": "query", "antwort": "response", "none": "x"});
    let expected = [("user", "q"), ("assistant", "a")];
    let expected: Value =
        expected.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    assert_eq!(renamed(names, row), Ok(json!([{"messages": expected}])));
    assert_eq!(
        renamed(json!({"Frage": "text"}), row),
        Err("`columns` would make two columns `text` in `FILE`".to_owned())
    );
}

#[test]
fn what_is_not_read_is_never_left_out_of_a_row_in_silence() {
    let turns =
        r#""messages": [{"role": "user", "content": "<image>a"}, {"role": "assistant", "content": "b"}]"#;
    let rows = [
        r#""images": ["a.jpg"]"#,
        r#""video": "a.mp4""#,
        r#""audios": ["a.wav"]"#,
        r#""objects": {"ref": [], "bbox": [[1, 2]]}"#,
        r#""rejected_response": "c", "chat_template_kwargs": {"voice": "low"}"#,
        r#""rejected_response": "c", "rejected_images": ["a.jpg"]"#,
        r#""rejected_response": "c", "images": [], "tools": "[]""#,
    ];
    let text = rows.map(|columns| format!("{{{turns}, {columns}}}\n")).concat();
    let (_folder, path) = file("a.jsonl", text);
    let expected = vec![
        "images are not read by this build",
        "videos are not read by this build",
        "sound is not read by this build",
        "boxes in images are not read by this build",
        "the template does not read all of `chat_template_kwargs`",
    ];
    let dataset = load(&path, &LoadOptions { shape: RowShape::Pair, ..LoadOptions::default() }).0.unwrap();
    assert_eq!((reasons(&dataset), dataset.len()), (expected.clone(), 1));
    assert_eq!(dataset.report().dropped[0].count, 2);
    // Only pairs have a use for what comes with the worse answer.
    let dataset = load(&path, &LoadOptions::default()).0.unwrap();
    assert_eq!((reasons(&dataset), dataset.len()), (expected, 2));
}

#[test]
fn prompts_without_an_answer_are_for_losses_that_want_none() {
    let rows = [
        r#"{"messages": [{"role": "user", "content": "a"}], "label": 1}"#,
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}"#,
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#,
    ];
    let (_folder, path) = file("a.jsonl", rows.join("\n"));
    let dataset = load(&path, &LoadOptions::default()).0.unwrap();
    assert_eq!(reasons(&dataset), ["there is no answer", "the answer is empty"]);
    let dataset = load(&path, &LoadOptions { shape: RowShape::Text, ..LoadOptions::default() }).0.unwrap();
    assert_eq!((dataset.len(), reasons(&dataset)), (3, Vec::new()));
    assert_eq!(dataset.example(0).unwrap().fields, [("label".to_owned(), Field::Number(1.0))]);
}

#[test]
fn texts_to_compare_with_follow_the_text_that_they_are_compared_to() {
    let row = r#"{"messages": [{"role": "user", "content": "q"}], "positive_messages": [[{"role": "user", "content": "p"}]],
        "negative_messages": [[{"role": "user", "content": "n"}], [{"role": "user", "content": "m"}]]}"#;
    let (_folder, path) = file("a.json", format!("[{row}]"));
    let dataset = load(&path, &LoadOptions { shape: RowShape::Group, ..LoadOptions::default() }).0.unwrap();
    let example = dataset.example(0).unwrap();
    assert_eq!(example.sequences.len(), 4);
    assert_eq!(example.fields, [("positive_count".to_owned(), Field::Number(1.0))]);
}
