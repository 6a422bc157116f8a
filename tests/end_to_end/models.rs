//! What the registry knows of a model, and what a run makes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use swift_tests::{Outcome, golden, swift_host};

/// A copy of the golden model in a folder of this name, with its chat template or without.
fn model(folder: &Path, name: &str, with_template: bool) -> PathBuf {
    let copy = folder.join(name);
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(golden("tiny-qwen2")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if with_template || name != "chat_template.jinja" {
            fs::copy(&path, copy.join(name)).unwrap();
        }
    }
    let config = copy.join("tokenizer_config.json");
    let mut entries: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    if !with_template {
        entries.as_object_mut().unwrap().remove("chat_template");
    }
    fs::write(config, entries.to_string()).unwrap();
    copy
}

/// One step with a model, and the template that `args.json` says it was with.
fn trained(folder: &Path, model: &str, words: &[&str]) -> (Outcome, Value) {
    let data = golden("traces/sft/data.jsonl");
    let mut command = swift_host(folder).unwrap();
    command.args(["run", "--model", model, "--dataset"]).arg(data);
    command.args(["--max-steps", "1", "--save-strategy", "no", "--output-dir", "out"]).args(words);
    let outcome = Outcome::from(command.output().unwrap());
    let arguments = fs::read_to_string(folder.join("out/args.json")).unwrap_or_else(|_| "{}".into());
    let arguments: Value = serde_json::from_str(&arguments).unwrap();
    (outcome, arguments["template"].clone())
}

#[test]
fn a_known_model_without_a_chat_template_is_trained_with_the_registrys() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), "Qwen2.5-0.5B-Instruct", false);
    let (outcome, template) = trained(folder.path(), "Qwen2.5-0.5B-Instruct", &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(template, "qwen2_5");
    let note = "the template `qwen2_5` is taken, which the registry has for `Qwen/Qwen2.5-0.5B-Instruct`";
    assert!(outcome.stderr.contains(note), "{}", outcome.stderr);
}

#[test]
fn a_known_model_keeps_its_own_chat_template_and_the_user_learns_the_other_ones_name() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), "Qwen2.5-0.5B-Instruct", true);
    let (outcome, template) = trained(folder.path(), "Qwen2.5-0.5B-Instruct", &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(template, Value::Null);
    assert!(outcome.stderr.contains("`--template qwen2_5`"), "{}", outcome.stderr);
}

#[test]
fn what_needs_a_template_by_name_gets_the_registrys() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), "Qwen2.5-0.5B-Instruct", true);
    let rules = ["--loss-scale", "default+hermes"];
    let (outcome, template) = trained(folder.path(), "Qwen2.5-0.5B-Instruct", &rules);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(template, "qwen2_5");
}

#[test]
fn a_model_that_is_not_listed_is_what_its_files_say() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), "nobody-knows-me", true);
    let (outcome, template) = trained(folder.path(), "nobody-knows-me", &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(template, Value::Null);
    assert!(!outcome.stderr.contains("registry"), "{}", outcome.stderr);
    // Without a template of its own there is none.
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    model(folder.path(), "nor-me", false);
    let (outcome, _) = trained(folder.path(), "nor-me", &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("hint: "), "{}", outcome.stderr);
}

#[test]
fn json_is_an_array_of_models_with_their_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["models", "--family", "qwen2.5", "--supported", "--json"];
    let outcome = Outcome::from(swift_host(folder.path()).unwrap().args(words).output().unwrap());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let models: Vec<Value> = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(models.len() > 20);
    for model in models {
        assert_eq!((&model["family"], &model["plugin"]), (&"qwen2.5".into(), &"llama".into()));
        assert_eq!(model["quantization"], Value::Null);
    }
}

#[test]
fn who_reads_the_beginning_of_the_list_only_gets_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = swift_host(folder.path()).unwrap();
    let mut child = command.arg("models").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}
