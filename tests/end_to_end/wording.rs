//! Help texts and errors, word for word, as a user reads them.
//!
//! After a change on purpose, `INSTA_UPDATE=always cargo test -p swift-tests --test end_to_end wording` writes them anew, to
//! be read before they are kept.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use swift_tests::{Outcome, golden, swift_host};

/// What `swift-host` says to these words in `folder`, below the words and above its exit code.
fn said(folder: &Path, words: &str) -> String {
    let output = swift_host(folder).unwrap().args(words.split_whitespace()).output().unwrap();
    let Outcome { code, stdout, stderr } = output.into();
    let text = format!("$ swift-host {words}\n{stdout}{stderr}[{}]\n", code.unwrap());
    // The rest of a line that the terminal's width ends.
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The answers to several lines of words, with an empty line between them.
fn all_said(folder: &Path, lines: &[&str]) -> String {
    let mut text = String::new();
    for words in lines {
        let answer = said(folder, words);
        assert!(!answer.contains("panicked at"), "{answer}");
        writeln!(text, "{answer}").unwrap();
    }
    text
}

/// A folder with a model, data, and what is wrong with them.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["model", "tokenless", "empty"] {
        fs::create_dir(at(name)).unwrap();
    }
    for entry in fs::read_dir(golden("tiny-qwen2")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        fs::copy(&path, at("model").join(name)).unwrap();
        if name != "tokenizer.json" {
            fs::copy(&path, at("tokenless").join(name)).unwrap();
        }
    }
    let config = fs::read_to_string(at("model").join("config.json")).unwrap();
    fs::create_dir(at("unwired")).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(at("model").join(name), at("unwired").join(name)).unwrap();
    }
    fs::write(at("unwired").join("config.json"), config.replace("qwen2", "novel").replace("Qwen2", "Novel"))
        .unwrap();
    let row =
        r#"{"messages": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]}"#;
    for (name, content) in [
        ("rows.jsonl", format!("{row}\n")),
        ("cut_off.jsonl", format!("{row}\n{{\"messages\": [\n")),
        ("roles.jsonl", format!("{}\n", row.replace("assistant", "robot"))),
        ("columns.jsonl", "{\"a\": \"1\", \"b\": \"2\"}\n".to_owned()),
        ("text.wasm", "a text".to_owned()),
        ("broken.toml", "model = [\n".to_owned()),
        ("misspelt.toml", "learning_rte = 1\n".to_owned()),
        ("mistyped.toml", "learning_rate = 'fast'\n".to_owned()),
    ] {
        fs::write(at(name), content).unwrap();
    }
    folder
}

#[test]
fn help_texts_of_commands() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "--help",
        "models --help",
        "infer --help",
        "export --help",
        "plugin --help",
        "plugin list --help",
        "plugin inspect --help",
        "plugin publish --help",
        "plugin new --help",
        "plugin build --help",
        "plugin check --help",
    ];
    assert_snapshot!(all_said(folder.path(), &lines));
}

#[test]
fn help_text_of_a_run_with_the_parameters_of_its_plugin() {
    let folder = tempfile::tempdir().unwrap();
    assert_snapshot!(said(folder.path(), "run --plugin dpo --help"));
}

#[test]
fn what_is_known_of_models() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        "models Qwen/Qwen2.5-0.5B-Instruct",
        "models --family bluelm",
        "models --family bluelm 32k --json",
        "models codellama",
        "models nothing like it",
    ];
    assert_snapshot!(all_said(folder.path(), &lines));
}

#[test]
fn errors_in_the_words_of_a_command_line() {
    let run = "run --model model --dataset rows.jsonl --template qwen";
    let of_run = |rest: &str| format!("{run} {rest}");
    let lines = [
        "trian".to_owned(),
        "plugin inspet dpo".to_owned(),
        "deploy --model model --prot 3".to_owned(),
        "deploy --model model --xyzzy".to_owned(),
        "infer --model model --xyzzy".to_owned(),
        "infer --model model --val-dataset rows.jsonl".to_owned(),
        "infer --model model --temperature hot".to_owned(),
        "infer --model model --temperature 300".to_owned(),
        "infer --model model --temperature -1 --max-model-len 100000".to_owned(),
        "infer --model model --adapter polite".to_owned(),
        "export --model model --adapters a --xyzzy".to_owned(),
        "export --model model --adapters a".to_owned(),
        "export --model model --adapters a --merge-lora --max-shard-size 5XB".to_owned(),
        "plugin check dpo --xyzzy".to_owned(),
        "run".to_owned(),
        "run rows model".to_owned(),
        of_run("--lora-rnk 4"),
        of_run("--quantization-bits 4"),
        of_run("--rlhf-type dpo"),
        of_run("--dtype float8"),
        of_run("--learning-rate fast"),
        of_run("--learning-rate=-1"),
        of_run("--lora-rank 2.5"),
        of_run("--packing maybe"),
        of_run("--columns a=b"),
        of_run("--template qwen"),
        of_run("--max-length"),
        of_run("--lock run.lock.json"),
        of_run("--locked"),
        of_run("--eval-strategy steps"),
        of_run("--tuner-type full --adapters x"),
        of_run("--num-labels 3"),
        of_run("--target-modules q_prj"),
        of_run("--plugin dpo,sft"),
        of_run("--plugin dpo --beta much"),
        of_run("--plugin-arg bta=1"),
        of_run("--grant dpo.read=."),
        "run nowhere.toml".to_owned(),
        "run broken.toml".to_owned(),
        "run misspelt.toml".to_owned(),
        "run mistyped.toml".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_snapshot!(all_said(folder().path(), &lines));
}

#[test]
fn errors_in_what_a_command_line_names() {
    let run = |model: &str, data: &str, rest: &str| {
        format!("run --model {model} --dataset {data} --max-steps 1 --template {rest}")
    };
    let lines = [
        run("nowhere", "rows.jsonl", "qwen"),
        run("Qwen/Qwen2.5-0.5B-Instruct", "rows.jsonl", "qwen"),
        run("empty", "rows.jsonl", "qwen"),
        run("unwired", "rows.jsonl", "qwen"),
        run("tokenless", "rows.jsonl", "qwen"),
        run("model", "nowhere.jsonl", "qwen"),
        run("model", "cut_off.jsonl", "qwen"),
        run("model", "roles.jsonl", "qwen"),
        run("model", "columns.jsonl", "qwen"),
        run("model", "rows.jsonl", "qwn"),
        run("model", "rows.jsonl", "qwen --plugin dpo"),
        run("model", "rows.jsonl", "qwen --plugin dop"),
        run("model", "rows.jsonl", "qwen --plugin ./nowhere.wasm"),
        run("model", "rows.jsonl", "qwen --resume-from-checkpoint nowhere"),
        run("model", "rows.jsonl", "qwen --output-dir model"),
        "plugin inspect text.wasm".to_owned(),
        "plugin inspect oci://example.org".to_owned(),
        "plugin check everything".to_owned(),
        "plugin new My_Loss".to_owned(),
        "plugin new my-loss --kind los".to_owned(),
        "plugin build empty".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_snapshot!(all_said(folder().path(), &lines));
}
