//! Bad input of every kind: one sentence that names the thing, a hint, the right exit code, and nothing left behind.

use std::fs;
use std::path::{Path, PathBuf};

use swift_tests::{Run, golden, plugin};

/// A folder to work in, and a command line that would succeed, to be spoilt by each test.
struct Bench {
    folder: tempfile::TempDir,
    flags: Vec<(String, String)>,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self { folder: tempfile::tempdir().unwrap(), flags: Vec::new() };
        bench.set("model", golden("tiny-qwen2"));
        bench.set("dataset", golden("traces/sft/data.jsonl"));
        for (flag, value) in [("template", "qwen"), ("max-steps", "1"), ("max-length", "512")] {
            bench.set(flag, Path::new(value));
        }
        bench
    }

    fn set(&mut self, flag: &str, value: impl AsRef<Path>) -> &mut Self {
        self.flags.retain(|(name, _)| name != flag);
        self.flags.push((flag.to_owned(), value.as_ref().display().to_string()));
        self
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A copy of the model to be damaged.
    fn model(&self) -> PathBuf {
        let copy = self.folder.path().join("model");
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(golden("tiny-qwen2")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        copy
    }

    fn run(&self) -> Run {
        let words: Vec<String> =
            self.flags.iter().flat_map(|(flag, value)| [format!("--{flag}"), value.clone()]).collect();
        Run::start(self.folder.path(), "out", &words).unwrap()
    }

    /// The run fails with `code`; its message has all of `words` and a hint; no weights were written.
    fn fails(&self, code: i32, words: &[&str]) {
        let run = self.run();
        let stderr = &run.outcome.stderr;
        assert_eq!(run.outcome.code, Some(code), "{stderr}");
        assert!(stderr.contains("error: "), "{stderr}");
        assert!(stderr.contains("hint: "), "there is no hint:\n{stderr}");
        for word in words {
            assert!(stderr.contains(word), "`{word}` is missing in:\n{stderr}");
        }
        assert!(!stderr.contains("panicked at"), "{stderr}");
        assert_eq!(run.outcome.stdout, "", "results on stdout");
        let checkpoints = fs::read_dir(&run.folder)
            .into_iter()
            .flatten()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("checkpoint"));
        assert_eq!(checkpoints.count(), 0, "a checkpoint was written");
    }
}

#[test]
fn there_is_no_such_model() {
    Bench::new().set("model", "nowhere/model").fails(1, &["nowhere/model"]);
}

#[test]
fn the_model_folder_has_no_config() {
    let mut bench = Bench::new();
    let folder = bench.file("empty/readme.txt", "nothing");
    bench.set("model", folder.parent().unwrap()).fails(1, &["config.json", "empty"]);
}

#[test]
fn the_architecture_is_not_supported() {
    let mut bench = Bench::new();
    let model = bench.model();
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    let config = config.replace("Qwen2ForCausalLM", "Qwen99ForCausalLM").replace("\"qwen2\"", "\"qwen99\"");
    fs::write(model.join("config.json"), config).unwrap();
    bench.set("model", model).fails(1, &["Qwen99ForCausalLM"]);
}

#[test]
fn the_weights_are_cut_off() {
    let mut bench = Bench::new();
    let model = bench.model();
    let weights = fs::read(model.join("model.safetensors")).unwrap();
    fs::write(model.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    bench.set("model", model).fails(1, &["model.safetensors"]);
}

#[test]
fn the_dataset_is_missing() {
    Bench::new().set("dataset", "rows.jsonl").fails(1, &["rows.jsonl"]);
}

#[test]
fn the_dataset_is_empty() {
    let mut bench = Bench::new();
    let data = bench.file("empty.jsonl", "");
    bench.set("dataset", data).fails(1, &["empty.jsonl"]);
}

#[test]
fn a_row_is_not_json() {
    let mut bench = Bench::new();
    let good = fs::read_to_string(golden("traces/sft/data.jsonl")).unwrap();
    let first = good.lines().next().unwrap();
    let data = bench.file("rows.jsonl", format!("{first}\n{first}\nnot json\n"));
    bench.set("dataset", data).fails(1, &["rows.jsonl", "3"]);
}

#[test]
fn there_is_no_such_plugin() {
    Bench::new().set("plugin", "dop").fails(1, &["dop", "dpo"]);
}

#[test]
fn the_plugin_is_not_wasm() {
    let mut bench = Bench::new();
    let file = bench.file("text.wasm", "this is a text");
    bench.set("plugin", file).fails(1, &["text.wasm"]);
}

#[test]
fn the_plugin_is_a_core_module() {
    let mut bench = Bench::new();
    let file = bench.file("core.wasm", [b'\0', b'a', b's', b'm', 1, 0, 0, 0]);
    bench.set("plugin", file).fails(1, &["core.wasm", "component"]);
}

#[test]
fn the_plugin_exports_nothing_known() {
    let mut bench = Bench::new();
    let file = bench.file(
        "other.wasm",
        wat::parse_str(r#"(component (instance $i) (export "a:b/c" (instance $i)))"#).unwrap(),
    );
    bench.set("plugin", file).fails(1, &["other.wasm", "a:b/c", "swift:plugin/loss"]);
}

#[test]
fn the_plugin_wants_a_newer_contract() {
    let mut bench = Bench::new();
    let text = r#"(component (instance $i) (export "swift:plugin/loss@0.9.0" (instance $i)))"#;
    let file = bench.file("newer.wasm", wat::parse_str(text).unwrap());
    bench.set("plugin", file).fails(1, &["newer.wasm", "0.9.0", "0.1.0"]);
}

#[test]
fn an_argument_is_unknown() {
    let mut bench = Bench::new();
    bench.set("plugin", "dpo").set("plugin-arg", "bata=0.2").fails(2, &["bata", "beta"]);
    bench.set("plugin-arg", "beta=much").fails(2, &["beta", "much"]);
}

#[test]
fn a_loss_of_routers_is_wanted_of_a_model_that_has_none() {
    Bench::new()
        .set("router-aux-loss-coef", "0.1")
        .fails(2, &["`--router-aux-loss-coef` is for a loss that the model adds", "leave it out"]);
}

#[test]
fn the_output_folder_is_not_empty() {
    let bench = Bench::new();
    bench.file("out/precious.txt", "keep me");
    bench.fails(1, &["out"]);
    assert_eq!(fs::read_to_string(bench.folder.path().join("out/precious.txt")).unwrap(), "keep me");
    assert_eq!(fs::read_dir(bench.folder.path().join("out")).unwrap().count(), 1, "something was written");
}

#[test]
fn a_plugin_misbehaves() {
    for (behaviour, words) in [
        ("panic", &["hostile", "I was told to panic"][..]),
        ("memory", &["hostile", "memory"]),
        ("tensors", &["hostile", "memory"]),
        ("shape", &["hostile", "shape"]),
        ("nan", &["step 1", "log"]),
    ] {
        let mut bench = Bench::new();
        bench.set("plugin", plugin("hostile").unwrap()).set("behaviour", behaviour);
        bench.fails(1, words);
    }
}

#[test]
fn a_plugin_returns_an_error_in_its_own_words() {
    let mut bench = Bench::new();
    bench.set("plugin", plugin("hostile").unwrap()).set("behaviour", "error");
    let run = bench.run();
    assert_eq!(run.outcome.code, Some(1));
    assert!(run.outcome.stderr.contains("there is nothing to learn here"), "{}", run.outcome.stderr);
}

#[test]
fn a_plugin_that_loops_for_ever_is_stopped() {
    let mut bench = Bench::new();
    bench.set("plugin", plugin("hostile").unwrap()).set("behaviour", "loop").set("plugin-timeout", "1");
    bench.fails(1, &["hostile", "1 second"]);
}
