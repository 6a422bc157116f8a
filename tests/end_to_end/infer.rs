//! Answers to files and chats by the real executable, with the golden tiny model.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use swift_tests::{Outcome, golden, read_json_lines, swift_host};

fn infer(folder: &Path, words: &str) -> Command {
    let mut command = swift_host(folder).unwrap();
    command.args(["infer", "--model"]).arg(golden("tiny-qwen2")).args(words.split_whitespace());
    command.stdin(Stdio::null());
    command
}

fn outcome(mut command: Command) -> Outcome {
    command.output().unwrap().into()
}

/// What a chat says to these lines.
fn chat(folder: &Path, words: &str, lines: &str) -> Outcome {
    let mut command = infer(folder, words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

fn write(path: &Path, rows: &[Value]) {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(path, lines).unwrap();
}

/// Rows with questions of different lengths.
fn rows(count: usize) -> Vec<Value> {
    let row = |n: usize| {
        let question = format!("What is {n} {}?", "and more ".repeat(n % 5));
        json!({ "query": question, "response": format!("It is {n}"), "id": n })
    };
    (0..count).map(row).collect()
}

/// An adapter that changes the answers: random `B` in a shape that fits the model.
fn adapter(folder: &Path, name: &str, factor: f32) {
    let folder = folder.join(name);
    fs::create_dir(&folder).unwrap();
    let config = json!({ "peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"] });
    fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    let weights = fs::read(golden("tiny-qwen2").join("model.safetensors")).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let mut tensors = std::collections::BTreeMap::new();
    for (name, view) in weights.tensors() {
        let Some(module) = name.strip_suffix("q_proj.weight") else { continue };
        let (outputs, inputs) = (view.shape()[0], view.shape()[1]);
        for (end, shape) in [("lora_A", [1, inputs]), ("lora_B", [outputs, 1])] {
            let count = shape[0] * shape[1];
            let values: Vec<f32> = (0..count).map(|i| factor * (i as f32 * 1.7).sin()).collect();
            let value =
                swift_tensor::Value::from_vec(values, &shape[..], &swift_tensor::Device::Cpu).unwrap();
            tensors.insert(format!("base_model.model.{module}q_proj.{end}.weight"), value);
        }
    }
    assert!(!tensors.is_empty());
    swift_model::write_tensors(&folder.join("adapter_model.safetensors"), &tensors).unwrap();
}

const GREEDY: &str = "--temperature 0 --max-new-tokens 8 --dtype float32";
/// Two at a time and on one thread, so that it is not over at once.
const SLOW: &str = "--temperature 0 --max-new-tokens 32 --dtype float64 --max-num-seqs 2 --threads 1";

#[test]
fn every_shape_of_row_is_answered_in_the_format_of_ms_swift() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let asked = json!({ "role": "user", "content": "1 + 1?" });
    let system = json!({ "role": "system", "content": "Be short" });
    write(
        &at("messages.jsonl"),
        &[
            json!({ "messages": [asked, { "role": "assistant", "content": "2" }], "id": 7 }),
            json!({ "messages": [system, asked] }),
            json!({ "messages": [{ "role": "robot", "content": "?" }] }),
            json!({ "messages": [{ "role": "assistant", "content": "an answer to nothing" }] }),
            json!({ "messages": [asked], "images": ["a.png"] }),
        ],
    );
    write(&at("alpaca.jsonl"), &[json!({ "instruction": "1 + 1?", "output": "2" })]);
    write(&at("query.jsonl"), &[json!({ "query": "1 + 1?" })]);
    fs::write(at("table.csv"), "query,response\n1 + 1?,2\n").unwrap();
    write(
        &at("pairs.jsonl"),
        &[json!({ "messages": [asked, { "role": "assistant", "content": "2" }], "rejected_response": "3" })],
    );
    let words = format!(
        "--val-dataset messages.jsonl alpaca.jsonl query.jsonl table.csv pairs.jsonl \
         --result-path out/answers.jsonl --logprobs --top-logprobs 2 {GREEDY}"
    );
    let Outcome { code, stdout, stderr } = outcome(infer(folder.path(), &words));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, "results: out/answers.jsonl\n");
    for reason in ["images are not read by this build", "there is no question", "`messages.jsonl` line 3"] {
        assert!(stderr.contains(reason), "{reason}: {stderr}");
    }
    assert!(stderr.contains("9 rows, 6 prompts"), "{stderr}");
    assert!(stderr.contains("6 answers in"), "{stderr}");
    let lines = read_json_lines(&at("out/answers.jsonl")).unwrap();
    assert_eq!(lines.len(), 6);
    let keys: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["response", "labels", "logprobs", "messages", "id"]);
    assert_eq!(
        lines.iter().map(|line| &line["labels"]).collect::<Vec<_>>(),
        ["2", "", "2", "", "2", "2"]
            .map(|label| if label.is_empty() { json!(null) } else { json!(label) })
            .iter()
            .collect::<Vec<_>>()
    );
    for line in &lines {
        let messages = line["messages"].as_array().unwrap();
        let last = messages.last().unwrap();
        assert_eq!(*last, json!({ "role": "assistant", "content": line["response"] }));
        assert_eq!(messages[messages.len() - 2], asked);
        let content = line["logprobs"]["content"].as_array().unwrap();
        assert!((1..=8).contains(&content.len()));
        for token in content {
            let top = token["top_logprobs"].as_array().unwrap();
            assert_eq!(top.len(), 2);
            // The most probable token was taken.
            assert_eq!(token["logprob"], top[0]["logprob"]);
            assert!(token["logprob"].as_f64().unwrap() < 0.0);
        }
    }
    // The same question has the same answer, however its row is written.
    for line in [&lines[2], &lines[3], &lines[4], &lines[5]] {
        assert_eq!(line["response"], lines[0]["response"]);
    }
    assert!(lines[5]["rejected_messages"].is_array());
}

#[test]
fn answers_that_are_there_are_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("rows.jsonl"), &rows(12));
    let words = "--val-dataset rows.jsonl --max-new-tokens 8 --temperature 1.5 --result-path";
    let first = outcome(infer(folder.path(), &format!("{words} whole.jsonl")));
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let whole = fs::read_to_string(at("whole.jsonl")).unwrap();
    assert_eq!(whole.lines().count(), 12);
    // Five lines, and a part of the sixth.
    let kept: usize = whole.split_inclusive('\n').take(5).map(str::len).sum();
    fs::write(at("part.jsonl"), &whole[..kept + 9]).unwrap();
    let second = outcome(infer(folder.path(), &format!("{words} part.jsonl")));
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(second.stderr.contains("half-written line"), "{}", second.stderr);
    assert!(second.stderr.contains("5 answers are in `part.jsonl` already"), "{}", second.stderr);
    assert!(second.stderr.contains("7 answers in"), "{}", second.stderr);
    // What is drawn depends on the row, and not on what else is computed.
    assert_eq!(fs::read_to_string(at("part.jsonl")).unwrap(), whole);
    // A third time there is nothing to do, and other rows are refused.
    let third = outcome(infer(folder.path(), &format!("{words} part.jsonl")));
    assert!(third.stderr.contains("0 answers in"), "{}", third.stderr);
    write(&at("rows.jsonl"), &rows(12)[3..]);
    let other = outcome(infer(folder.path(), &format!("{words} part.jsonl")));
    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("Line 1 of `part.jsonl` answers none of these questions"));
    assert_eq!(fs::read_to_string(at("part.jsonl")).unwrap(), whole);
}

/// Waits until a file has so many lines; the child must live until then.
fn wait_for_lines(path: &Path, count: usize, child: &mut Child) {
    loop {
        let lines = fs::read_to_string(path).map_or(0, |text| text.lines().count());
        if lines >= count {
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended with {lines} lines");
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_start_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("rows.jsonl"), &rows(400));
    let words = format!("--val-dataset rows.jsonl {SLOW} --result-path");
    let whole = outcome(infer(folder.path(), &format!("{words} whole.jsonl")));
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);
    for lines in [1, 100] {
        let mut child =
            infer(folder.path(), &format!("{words} killed.jsonl")).stderr(Stdio::null()).spawn().unwrap();
        wait_for_lines(&at("killed.jsonl"), lines, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let killed = fs::read_to_string(at("killed.jsonl")).unwrap();
    assert!(killed.lines().count() < 400, "it was over before it was killed");
    let last = outcome(infer(folder.path(), &format!("{words} killed.jsonl")));
    assert_eq!(last.code, Some(0), "{}", last.stderr);
    let read = |name: &str| fs::read_to_string(at(name)).unwrap();
    assert_eq!(read("killed.jsonl"), read("whole.jsonl"));
}

/// Presses Ctrl-C.
fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn an_interrupted_start_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("rows.jsonl"), &rows(400));
    let words = format!("--val-dataset rows.jsonl {SLOW} --result-path out.jsonl");
    let mut child = infer(folder.path(), &words).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_lines(&at("out.jsonl"), 1, &mut child);
    interrupt(&child);
    let stopped: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("hint: the same command goes on from there"), "{}", stopped.stderr);
    let before = fs::read_to_string(at("out.jsonl")).unwrap();
    assert!(before.ends_with('\n') && before.lines().count() < 400);
    let last = outcome(infer(folder.path(), &words));
    assert_eq!(last.code, Some(0), "{}", last.stderr);
    let after = fs::read_to_string(at("out.jsonl")).unwrap();
    assert!(after.starts_with(&before) && after.lines().count() == 400);
}

#[test]
fn ctrl_c_stops_an_answer_and_not_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let words = "--temperature 0 --dtype float64 --threads 1";
    let mut command = infer(folder.path(), words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(b"Hello\n").unwrap();
    let mut said = vec![0];
    stdout.read_exact(&mut said).unwrap();
    interrupt(&child);
    stdin.write_all(b"/clear\n/max-new-tokens 1\nHello\n").unwrap();
    drop(stdin);
    stdout.read_to_end(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let said = String::from_utf8(said).unwrap();
    let lines: Vec<&str> = said.trim_end_matches('\n').split('\n').collect();
    let (last, first) = lines.split_last().unwrap();
    assert!(first.concat().starts_with(last), "both begin with the same token: {said:?}");
    let uninterrupted = chat(folder.path(), words, "Hello\n").stdout;
    assert!(first.join("\n").len() < uninterrupted.len(), "it was not stopped");
}

#[test]
fn rows_name_the_adapter_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    adapter(folder.path(), "odd", 0.9);
    adapter(folder.path(), "even", -0.5);
    let row = |adapter: Value| json!({ "query": "Who are you?", "adapter": adapter });
    let mut rows: Vec<Value> = ["odd", "even", "none", "missing"].map(|name| row(json!(name))).to_vec();
    rows.push(json!({ "query": "Who are you?" }));
    write(&at("rows.jsonl"), &rows);
    let words = format!("--val-dataset rows.jsonl --result-path out.jsonl {GREEDY}");
    let all = outcome(infer(folder.path(), &format!("{words} --adapters odd b=even --adapter odd")));
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    // `even` is called `b` here.
    assert!(all.stderr.contains("2 left out: it names an adapter that is not loaded"), "{}", all.stderr);
    let lines = read_json_lines(&at("out.jsonl")).unwrap();
    let responses: Vec<&Value> = lines.iter().map(|line| &line["response"]).collect();
    assert_eq!(responses.len(), 3);
    assert_eq!(responses[0], responses[2], "the default answers where a row names none");
    assert_ne!(responses[0], responses[1], "the adapter changes nothing");
}

#[test]
fn a_chat_has_a_history_commands_and_parameters() {
    let folder = tempfile::tempdir().unwrap();
    adapter(folder.path(), "odd", 0.9);
    let words = format!("{GREEDY} --adapters odd --adapter none");
    let answers = |lines: &str| {
        let Outcome { code, stdout, stderr } = chat(folder.path(), &words, lines);
        assert_eq!(code, Some(0), "{stderr}");
        (stdout, stderr)
    };
    let (one, _) = answers("Hello\n");
    assert!(one.ends_with('\n') && one.len() > 1);
    let (again, errors) = answers("Hello\n/clear\nHello\n/help\n/exit\nHello\n");
    assert_eq!(again, format!("{one}{one}"), "a cleared conversation begins anew");
    assert!(errors.contains("/system TEXT") && errors.contains("the conversation is forgotten"));
    let (history, _) = answers("Hello\nHello\n");
    assert!(history.starts_with(&one));
    assert_ne!(history, again, "the second answer does not see the first question");
    let (other, _) = answers("/system You are a pirate\nHello\n/system\nHello\n");
    assert!(other.ends_with(&one) && other != again, "{other}");
    let (adapted, _) = answers("/adapter odd\nHello\n/adapter none\n/clear\nHello\n");
    assert!(adapted.ends_with(&one) && adapted != again, "{adapted}");
    // Lines that go on, in both ways.
    let (several, _) = answers("/multi\none\n\ntwo\n/end\n");
    let (backslash, _) = answers("one\\\n\\\ntwo\n");
    assert_eq!(several, backslash);
    assert_ne!(several, one);
    let (short, errors) = answers("/max-new-tokens 1\n/temperature\n/temperature -3\n/colour red\nHello\n");
    assert!(one.starts_with(short.trim_end()) && short.len() < one.len(), "{short} {one}");
    assert!(errors.contains("temperature is 0"), "{errors}");
    assert!(errors.contains("`/temperature` must be from 0 to 100"), "{errors}");
    assert!(errors.contains("there is no command `/colour`"), "{errors}");
    let (whole, _) = {
        let Outcome { stdout, stderr, .. } =
            chat(folder.path(), &format!("{words} --stream false"), "Hello\n");
        (stdout, stderr)
    };
    assert_eq!(whole, one);
}

#[test]
fn a_merged_model_answers_as_the_adapted_one() {
    let folder = tempfile::tempdir().unwrap();
    adapter(folder.path(), "odd", 0.9);
    let mut export = swift_host(folder.path()).unwrap();
    export.args([
        "export",
        "--merge_lora",
        "true",
        "--adapters",
        "odd",
        "--max_shard_size",
        "200KB",
        "--model",
    ]);
    export.arg(golden("tiny-qwen2"));
    let Outcome { code, stdout, stderr } = outcome(export);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, "merged: odd-merged\n");
    let merged = folder.path().join("odd-merged");
    for name in [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
    ] {
        assert!(merged.join(name).is_file(), "{name}");
    }
    let adapted = chat(folder.path(), &format!("{GREEDY} --adapters odd"), "Hello\n");
    let mut command = swift_host(folder.path()).unwrap();
    command.args(["infer", "--model", "odd-merged"]).args(GREEDY.split_whitespace());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"Hello\n").unwrap();
    let alone: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!(alone.code, Some(0), "{}", alone.stderr);
    assert_eq!(alone.stdout, adapted.stdout);
    assert_ne!(alone.stdout, chat(folder.path(), GREEDY, "Hello\n").stdout, "the adapter changes nothing");
}

#[test]
fn a_sampler_decides_and_what_it_does_not_take_is_known_before_anything_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let words = "--max-new-tokens 8 --dtype float32 --temperature 1 --sampler-plugin typical";
    // One token alone is left each time, so that chance has nothing to choose.
    let answer = |more: &str| chat(folder.path(), &format!("{words} {more}"), "1 + 1?\n").stdout;
    let single = "--plugin-arg typical.typical_p=1e-9";
    let first = answer(&format!("{single} --seed 1"));
    assert_eq!(first, answer(&format!("{single} --seed 2")));
    assert_ne!(first, answer("--seed 1"));
    for (arguments, said) in [
        ("--plugin-arg typical_p=2", "`typical_p` is 2, and must be above 0 and at most 1"),
        ("--plugin-arg mass=1", "The plugin `typical` has no parameter `mass`"),
        ("--grant other.memory=9", "`other` is granted something"),
        ("--sampler-plugin sft", "`sft` is not a sampler but a loss"),
    ] {
        let Outcome { code, stdout, stderr } = chat(folder.path(), &format!("{words} {arguments}"), "x\n");
        assert!(code == Some(1) || code == Some(2), "{code:?} {stderr}");
        assert!(stdout.is_empty() && stderr.contains(said), "{stderr}");
    }
}
