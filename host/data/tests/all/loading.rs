use std::fs;

use serde_json::json;
use swift_data::{
    Adapter, AdapterFailure, Dataset, DatasetSpec, Error, Field, LoadOptions, Message, Outcome, RowShape,
    Template, TemplateOptions, Tokenizer, TrainedParts, Truncation,
};

use crate::support::{MessagesAdapter, file, load, plan_in_order, rows, template};

const ROW: &str =
    r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;

fn error_of(name: &str, text: impl AsRef<[u8]>) -> (String, Option<String>) {
    let (folder, path) = file(name, text);
    let error = load(&[&path], &mut template("qwen"), &LoadOptions::default()).unwrap_err();
    (error.to_string().replace(folder.path().to_str().unwrap(), "DIR"), error.hint())
}

#[test]
fn bad_files_are_errors_that_name_the_place() {
    let (folder, _) = file("x", "");
    let of =
        |path: &str| load(&[path], &mut template("qwen"), &LoadOptions::default()).unwrap_err().to_string();
    assert_eq!(of("missing.jsonl"), "The dataset `missing.jsonl` does not exist");
    let directory = folder.path().to_str().unwrap();
    assert_eq!(of(directory), format!("The dataset `{directory}` is not a file"));

    assert_eq!(error_of("a.jsonl", " \n\n").0, "The dataset `DIR/a.jsonl` is empty");
    assert_eq!(error_of("a.json", "[]").0, "The dataset `DIR/a.json` is empty");
    let (message, hint) = error_of("a.jsonl", format!("{ROW}\n\n{ROW}\n{{\"messages\": oops}}\n"));
    assert_eq!(message, "Line 4 of `DIR/a.jsonl` is not JSON: expected value at column 14");
    assert!(hint.unwrap().contains("one JSON object"));
    assert_eq!(
        error_of("a.jsonl", format!("{ROW}\n[1]\n")).0,
        "Line 2 of `DIR/a.jsonl` is not a JSON object"
    );
    assert_eq!(
        error_of("a.json", format!("[\n{ROW},\n 7]")).0,
        "Line 3 of `DIR/a.json` is not a JSON object"
    );
    assert_eq!(
        error_of("a.json", format!("[\n{ROW},\n{ROW}\n")).0,
        "Line 4 of `DIR/a.json` is not JSON: EOF while parsing a list"
    );
    let not_text = [ROW.as_bytes(), b"\n\xff\xfe\n"].concat();
    assert_eq!(error_of("a.jsonl", not_text).0, "Line 2 of `DIR/a.jsonl` is not JSON: it is not UTF-8 text");
}

#[test]
fn a_file_that_no_adapter_reads_is_an_error_that_names_its_columns() {
    let (message, hint) = error_of("a.jsonl", "{\"q\": 1}\n{\"q\": 2, \"r\": 3}\n");
    assert_eq!(message, "No dataset plugin reads `DIR/a.jsonl`, whose columns are `q`, `r`");
    assert!(hint.unwrap().starts_with("the plugins asked were `messages`;"));
}

#[test]
fn arrays_lines_and_a_byte_order_mark_all_read_alike() {
    let lines = rows(3);
    let array = format!("[{}]", lines.trim_end().replace('\n', ",\n  "));
    let (_one, lines) = file("a.jsonl", format!("\u{feff}{}", lines.replace('\n', "\r\n")));
    let (_two, array) = file("a.json", array);
    let mut template = template("qwen");
    let [lines, array] =
        [lines, array].map(|path| load(&[&path], &mut template, &LoadOptions::default()).unwrap());
    assert_eq!((lines.len(), array.len()), (3, 3));
    for index in 0..3 {
        assert_eq!(lines.example(index).unwrap(), array.example(index).unwrap());
    }
    assert!(matches!(lines.example(3), Err(Error::NoSuchExample { index: 3, length: 3 })));
}

#[test]
fn rows_are_chosen_without_replacement_and_repeated_when_more_are_wanted() {
    let (folder, path) = file("a.jsonl", rows(10));
    let mut template = template("qwen");
    let mut answers = |spec: &str, seed| {
        let options = LoadOptions { seed, ..LoadOptions::default() };
        let dataset = load(&[&format!("{path}{spec}")], &mut template, &options).unwrap();
        (0..dataset.len())
            .map(|index| dataset.example(index).unwrap().sequences[0].input_ids.clone())
            .collect::<Vec<_>>()
    };
    let all = answers("", 1);
    let mut few = answers("#4", 1);
    assert_eq!(few, answers("#4", 1));
    assert_ne!(few, answers("#4", 2));
    few.sort();
    few.dedup();
    assert_eq!(few.len(), 4);
    assert!(few.iter().all(|row| all.contains(row)));
    let many = answers("#23", 1);
    assert_eq!(many.len(), 23);
    assert_eq!(many[..10], all);
    assert_eq!(many[10..20], all);

    assert!(matches!(format!("{path}#0").parse::<DatasetSpec>(), Err(Error::RowCount { .. })));
    assert!(matches!(format!("{path}#some").parse::<DatasetSpec>(), Err(Error::RowCount { .. })));
    let odd = folder.path().join("a#7");
    fs::write(&odd, rows(2)).unwrap();
    let spec: DatasetSpec = odd.to_str().unwrap().parse().unwrap();
    assert_eq!(spec, DatasetSpec { path: odd, rows: None });
}

#[test]
fn every_row_left_out_is_counted_by_reason_and_the_first_are_shown() {
    let long = ROW.replace("\"b\"", &format!("\"{}\"", "b ".repeat(100)));
    let tool = ROW.replace("user", "tool_call");
    let text = [ROW, &long, "{\"messages\": null}", &long, &tool, ROW, &long, &long].join("\n");
    let (_folder, path) = file("a.jsonl", text);
    let options = LoadOptions { max_length: Some(50), ..LoadOptions::default() };
    let dataset = load(&[&path], &mut template("qwen"), &options).unwrap();
    let report = dataset.report();
    assert_eq!((report.rows, report.examples, dataset.len()), (8, 2, 2));
    let reasons: Vec<_> =
        report.dropped.iter().map(|dropped| (dropped.reason.as_str(), dropped.count)).collect();
    assert_eq!(
        reasons,
        [("longer than 50 tokens", 4), ("it has no messages", 1), ("a tool call is not a JSON object", 1)]
    );
    let lines: Vec<_> = report.dropped[0].first.iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 4, 7]);
    let text = report.to_string();
    assert!(text.contains(&format!("\n1 left out: it has no messages (`{path}` line 3)")), "{text}");
    assert!(text.contains("line 7, 133 tokens; ..)"), "{text}");
    assert_eq!(report.lengths.total, dataset.token_count(0).unwrap() + dataset.token_count(1).unwrap());
    assert_eq!(report.lengths.trained, dataset.label_count(0).unwrap() + dataset.label_count(1).unwrap());

    let options = LoadOptions { truncation: Truncation::Left, ..options };
    let dataset = load(&[&path], &mut template("qwen"), &options).unwrap();
    assert_eq!((dataset.len(), dataset.report().truncated, dataset.report().lengths.max), (6, 4, 50));
}

#[test]
fn a_row_that_is_split_becomes_examples_with_what_it_says_besides_and_parts_without_labels_are_counted() {
    let long = ROW.replace("\"b\"", &format!("\"{}\"", "b ".repeat(100)));
    let long = long.replace("]}", "], \"margin\": 2}");
    let (_folder, path) = file("a.jsonl", [ROW, &long].join("\n"));
    let whole = load(&[&path], &mut template("qwen"), &LoadOptions::default()).unwrap();
    let length = whole.token_count(1).unwrap();
    let options =
        LoadOptions { max_length: Some(50), truncation: Truncation::Split, ..LoadOptions::default() };
    let dataset = load(&[&path], &mut template("qwen"), &options).unwrap();
    let lengths: Vec<_> = (0..dataset.len()).map(|index| dataset.token_count(index).unwrap()).collect();
    assert_eq!(lengths, [whole.token_count(0).unwrap(), 50, 50, length - 100]);
    for index in 1..4 {
        assert_eq!(dataset.example(index).unwrap().fields, [("margin".to_owned(), Field::Number(2.0))]);
    }
    let report = dataset.report();
    assert_eq!((report.rows, report.examples, report.truncated, report.split), (2, 4, 0, 1));
    let text = report.to_string();
    assert!(text.ends_with(", 1 rows split"), "{text}");

    // What stands before the answer fills more than one part.
    let options = LoadOptions { max_length: Some(10), ..options };
    let dataset = load(&[&path], &mut template("qwen"), &options).unwrap();
    let dropped = &dataset.report().dropped[0];
    assert_eq!(dropped.reason, "nothing in it is trained on");
    assert_eq!(dropped.first[0].detail, "part 1 of 4");
}

#[test]
fn rows_of_several_sequences_are_not_split() {
    let (_folder, path) = file("a.jsonl", ROW);
    for shape in [RowShape::Pair, RowShape::Text, RowShape::Group] {
        let options = LoadOptions { shape, truncation: Truncation::Split, ..LoadOptions::default() };
        let error = load(&[&path], &mut template("qwen"), &options).unwrap_err().to_string();
        assert!(error.starts_with("`truncation-strategy` can be `split` for losses on one"), "{error}");
    }
}

#[test]
fn a_dataset_of_which_nothing_is_left_is_an_error() {
    let (_folder, path) = file("a.jsonl", format!("{ROW}\n{{\"messages\": 1}}\n"));
    let options = LoadOptions { max_length: Some(5), ..LoadOptions::default() };
    let error = load(&[&path], &mut template("qwen"), &options).unwrap_err();
    assert_eq!(error.to_string(), "None of the 2 rows can be used: longer than 5 tokens");
    let hint = error.hint().unwrap();
    assert!(hint.contains("1 left out: it has no messages"), "{hint}");
    let untrained = ROW.replace("\"b\"", "\"b\", \"loss\": false");
    let (_folder, path) = file("a.jsonl", format!("{untrained}\n{ROW}"));
    let options =
        LoadOptions { max_length: Some(20), truncation: Truncation::Right, ..LoadOptions::default() };
    let error = load(&[&path], &mut template("qwen"), &options).unwrap_err();
    assert_eq!(error.to_string(), "None of the 2 rows can be used: nothing in it is trained on");
}

#[test]
fn pairs_need_a_rejected_answer_of_their_own() {
    let pair = ROW.replace("]}", "], \"rejected_response\": \"c\", \"margin\": 2}");
    let same = ROW.replace("]}", "], \"rejected_response\": \"b\"}");
    let (_folder, path) = file("a.jsonl", format!("{pair}\n{ROW}\n{same}"));
    let options = LoadOptions {
        shape: RowShape::Pair,
        trained_parts: TrainedParts::LastRound,
        ..LoadOptions::default()
    };
    let dataset = load(&[&path], &mut template("qwen"), &options).unwrap();
    let reasons: Vec<_> = dataset.report().dropped.iter().map(|dropped| dropped.reason.as_str()).collect();
    assert_eq!(reasons, ["there is no rejected answer", "the chosen and the rejected answer are the same"]);
    assert_eq!(dataset.example(0).unwrap().fields, [("margin".to_owned(), Field::Number(2.0))]);
    let dataset = load(&[&path], &mut template("qwen"), &LoadOptions::default()).unwrap();
    assert_eq!((dataset.len(), dataset.example(0).unwrap().sequences.len()), (3, 1));
}

/// Matches everything, but not well, and breaks its contract.
struct Careless(Result<usize, &'static str>);

impl Adapter for Careless {
    fn name(&self) -> &str {
        "careless"
    }

    fn digest(&self) -> &str {
        "sha256:0"
    }

    fn matches(&mut self, _: &[String]) -> Result<u32, AdapterFailure> {
        Ok(1)
    }

    fn convert(&mut self, _: Vec<String>) -> Result<Vec<Outcome>, AdapterFailure> {
        let count =
            self.0.map_err(|message| AdapterFailure { message: message.into(), hint: Some("ask".into()) })?;
        Ok(vec![Outcome::Skipped("lazy".into()); count])
    }
}

#[test]
fn each_file_goes_to_the_adapter_that_matches_best() {
    let (_one, messages) = file("a.jsonl", rows(2));
    let (_two, others) = file("b.jsonl", "{\"x\": 1}");
    let specs: Vec<DatasetSpec> = [messages, others].iter().map(|path| path.parse().unwrap()).collect();
    let mut adapters: [Box<dyn Adapter>; 2] = [Box::new(Careless(Ok(1))), Box::new(MessagesAdapter::new())];
    let dataset =
        Dataset::load(&specs, &mut adapters, &mut template("qwen"), &LoadOptions::default()).unwrap();
    let sources: Vec<_> =
        dataset.report().sources.iter().map(|source| (source.adapter.as_str(), source.rows)).collect();
    assert_eq!(sources, [("messages", 2), ("careless", 1)]);
    assert_eq!(dataset.report().dropped[0].reason, "lazy");
}

#[test]
fn an_adapter_that_breaks_its_contract_is_named() {
    let (folder, path) = file("a.jsonl", rows(2));
    let spec: DatasetSpec = path.parse().unwrap();
    let fails = |careless| {
        let mut adapters: [Box<dyn Adapter>; 1] = [Box::new(careless)];
        let loaded = Dataset::load(
            std::slice::from_ref(&spec),
            &mut adapters,
            &mut template("qwen"),
            &LoadOptions::default(),
        );
        let error = loaded.unwrap_err();
        (error.to_string().replace(folder.path().to_str().unwrap(), "DIR"), error.hint())
    };
    let (message, hint) = fails(Careless(Ok(3)));
    assert_eq!(
        message,
        "The dataset plugin `careless` failed on `DIR/a.jsonl`: it gave 3 outcomes for 2 rows"
    );
    assert_eq!(hint, None);
    let (message, hint) = fails(Careless(Err("it trapped")));
    assert_eq!(message, "The dataset plugin `careless` failed on `DIR/a.jsonl`: it trapped");
    assert_eq!(hint.as_deref(), Some("ask"));
}

#[test]
fn files_are_joined_in_the_order_given() {
    let (_one, first) = file("a.jsonl", rows(3));
    let (_two, second) = file("b.jsonl", ROW);
    let dataset = load(&[&second, &first], &mut template("qwen"), &LoadOptions::default()).unwrap();
    assert_eq!(dataset.len(), 4);
    let decoded =
        template("qwen").tokenizer().decode(&dataset.example(0).unwrap().sequences[0].input_ids).unwrap();
    assert!(decoded.ends_with("assistant\nb<|im_end|>\n"), "{decoded}");
    let windows = plan_in_order(&dataset, 2, 1).epoch(0);
    assert_eq!(
        windows.iter().map(|window| window.micro_batches.clone()).collect::<Vec<_>>(),
        [[[0, 1]], [[2, 3]]]
    );
}

#[test]
fn a_folder_without_a_tokeniser_or_a_chat_template_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = Tokenizer::load(folder.path()).unwrap_err();
    assert!(matches!(error, Error::TokenizerMissing(_)));
    fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert!(matches!(Tokenizer::load(folder.path()), Err(Error::TokenizerFile { .. })));
    fs::copy(crate::support::golden("tokenizer/tokenizer.json"), folder.path().join("tokenizer.json"))
        .unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    let error = Template::of_model(&tokenizer, TemplateOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "The model has no chat template of its own");
    assert_eq!(
        error.hint().unwrap(),
        "name its template with `--template`: `qwen`, `llama3`, `chatml` for instance"
    );
}

#[test]
fn a_prompt_loses_its_answer_and_keeps_what_the_row_says() {
    let row = ROW.replace("]}", "], \"solution\": \"x\", \"margin\": 2}");
    let question = r#"{"messages": [{"role": "user", "content": "a"}]}"#;
    let answer = r#"{"messages": [{"role": "assistant", "content": "b"}]}"#;
    let (folder, path) = file("a.jsonl", [&row, question, answer].join("\n"));
    let cache_directory = Some(folder.path().join("cache"));
    let options = LoadOptions { shape: RowShape::Prompt, cache_directory, ..LoadOptions::default() };
    for from_cache in [false, true] {
        let dataset = load(&[&path], &mut template("qwen"), &options).unwrap();
        assert_eq!((dataset.len(), dataset.report().from_cache), (2, from_cache));
        assert_eq!(dataset.report().dropped[0].reason, "nothing comes before the answer");
        let [with_answer, without] = [0, 1].map(|index| dataset.example(index).unwrap());
        assert_eq!(with_answer.sequences, without.sequences);
        assert!(with_answer.sequences[0].weights.iter().all(|weight| *weight == 0.0));
        let prompt = with_answer.prompt.unwrap();
        assert_eq!(prompt.messages, [Message::new("user", "a")]);
        assert_eq!(prompt.columns, [("margin".into(), json!(2)), ("solution".into(), json!("x"))]);
        assert!(without.prompt.unwrap().columns.is_empty());
    }
}
