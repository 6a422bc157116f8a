//! What a run leaves behind is laid out as ms-swift's users know it.

use std::fs;
use std::path::Path;

use swift_tests::{Run, golden, read_json};

/// What ms-swift writes and only Python can read, or that has another form here.
const NOT_OURS: &[&str] =
    &["optimizer.pt", "rng_state.pth", "scheduler.pt", "training_args.bin", "README.md"];

fn run(folder: &Path) -> Run {
    let (model, data) =
        (golden("tiny-qwen2").display().to_string(), golden("traces/sft/data.jsonl").display().to_string());
    let words = [
        "--model",
        &model,
        "--dataset",
        &data,
        "--template",
        "qwen",
        "--lora-rank",
        "4",
        "--max-steps",
        "6",
        "--per-device-train-batch-size",
        "2",
        "--gradient-accumulation-steps",
        "1",
        "--save-steps",
        "3",
        "--logging-steps",
        "1",
        "--max-length",
        "512",
    ];
    Run::succeed(folder, "out", &words.map(str::to_owned)).unwrap()
}

#[test]
fn it_has_the_files_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path());
    let tree = fs::read_to_string(golden("layout_sft/tree.txt")).unwrap();
    for file in tree.lines().filter(|file| !NOT_OURS.iter().any(|name| file.ends_with(name))) {
        assert!(run.folder.join(file).is_file(), "`{file}` is missing");
    }
    for file in ["run.lock.json", "images/train_loss.png"] {
        assert!(run.folder.join(file).is_file(), "`{file}` is missing");
    }
    let events = fs::read_dir(run.folder.join("runs")).unwrap().count();
    assert_eq!(events, 1, "TensorBoard files");
    let lock = read_json(&run.folder.join("run.lock.json")).unwrap().to_string();
    assert!(lock.contains("sha256:") && lock.contains("sft"), "{lock}");
}

#[test]
fn its_log_has_the_keys_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path());
    let reference = fs::read_to_string(golden("layout_sft/logging.jsonl")).unwrap();
    let log = fs::read_to_string(run.folder.join("logging.jsonl")).unwrap();
    let (reference, log): (Vec<&str>, Vec<&str>) = (reference.lines().collect(), log.lines().collect());
    assert_eq!(log.len(), reference.len(), "{log:#?}");
    // These have no meaning here: operations are not counted, and best checkpoints need a validation set.
    let without_meaning = ["total_flos", "log_history", "memory", "best_model_checkpoint", "best_metric"];
    for (ours, theirs) in log.iter().zip(&reference) {
        let [ours, theirs] =
            [ours, theirs].map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        for key in theirs.as_object().unwrap().keys().filter(|key| !without_meaning.contains(&key.as_str())) {
            assert!(ours.get(key).is_some(), "`{key}` is missing in {ours}");
        }
    }
}
