//! Runs with the plugins of a lock file, and no others.

use serde_json::json;
use swift_fetch::Digest;
use swift_tests::{Run, Server, golden, read_json};

use super::{publish, sft, write};

/// A plugin that does the same as [`sft`] and has another digest: it ends with an empty section of its own.
fn other() -> Vec<u8> {
    [sft(), vec![0, 2, 1, b'x']].concat()
}

/// Arguments of a short run with a plugin.
fn arguments(plugin: &str, more: &[&str]) -> Vec<String> {
    let (model, data) =
        (golden("tiny-qwen2").display().to_string(), golden("traces/sft/data.jsonl").display().to_string());
    let words = [
        "--plugin",
        plugin,
        "--model",
        &model,
        "--dataset",
        &data,
        "--template",
        "qwen",
        "--max-length",
        "512",
    ];
    let steps = ["--max-steps", "2", "--save-steps", "1", "--gradient-accumulation-steps", "1"];
    [&words[..], &steps, more].concat().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_run_can_be_held_to_the_plugins_of_another() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Server::start().unwrap());
    let folder = folder.path();
    let first = publish(folder, &server, &sft(), "1");
    let tag = format!("oci://{}/losses/sft:1", server.host());
    let run = Run::succeed(folder, "first", &arguments(&tag, &[])).unwrap();
    let stderr = &run.outcome.stderr;
    assert!(
        stderr.contains(&format!("a tag may move: to have the same plugin again, name it `{first}`")),
        "{stderr}"
    );
    let lock_file = run.folder.join("run.lock.json");
    let lock = read_json(&lock_file).unwrap();
    assert_eq!(lock["plugins"]["sft"]["origin"], json!(first));
    assert_eq!(lock["plugins"]["sft"]["digest"], json!(Digest::of(&sft()).to_string()));

    // The tag moves on.
    publish(folder, &server, &other(), "1");
    let locked = ["--locked", "--lock", lock_file.to_str().unwrap()];
    let refused = Run::start(folder, "second", &arguments(&tag, &locked)).unwrap();
    assert_eq!(refused.outcome.code, Some(2), "{}", refused.outcome.stderr);
    for digest in [Digest::of(&sft()), Digest::of(&other())] {
        assert!(refused.outcome.stderr.contains(&digest.to_string()), "{}", refused.outcome.stderr);
    }
    assert!(!refused.folder.exists());

    // What is pinned and kept needs no registry.
    server.stop();
    let third = Run::succeed(folder, "third", &arguments(&first, &locked)).unwrap();
    assert!(!third.outcome.stderr.contains("a tag may move"), "{}", third.outcome.stderr);

    // A run that is resumed has a lock file of its own.
    let checkpoint = third.folder.join("checkpoint-1").display().to_string();
    let resumed = ["--locked", "--resume-from-checkpoint", &checkpoint];
    Run::succeed(folder, "third", &arguments(&first, &resumed)).unwrap();
}

#[test]
fn a_lock_file_pins_every_plugin_that_takes_part() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let without = Run::start(folder, "out", &arguments("sft", &["--locked"])).unwrap().outcome;
    assert_eq!(without.code, Some(2));
    assert!(
        without.stderr.starts_with("error: `--locked` has no lock file to go by\nhint: "),
        "{}",
        without.stderr
    );
    let run = Run::succeed(folder, "first", &arguments("sft", &[])).unwrap();
    let mut lock = read_json(&run.folder.join("run.lock.json")).unwrap();
    let plugins = lock["plugins"].as_object_mut().unwrap();
    let dataset = plugins.keys().find(|name| *name != "sft").unwrap().clone();
    plugins.shift_remove(&dataset);
    let file = write(folder, "less.json", lock.to_string().as_bytes());
    let locked = ["--locked", "--lock", file.to_str().unwrap()];
    let refused = Run::start(folder, "second", &arguments("sft", &locked)).unwrap();
    assert_eq!(refused.outcome.code, Some(2));
    assert!(
        refused.outcome.stderr.contains(&format!("The plugin `{dataset}` has")),
        "{}",
        refused.outcome.stderr
    );
    assert!(refused.outcome.stderr.contains("pins no plugin of this name"), "{}", refused.outcome.stderr);
    assert!(!refused.folder.exists());
}
