//! A third party's way: a new project, its component, a check, a run.

use std::fs;
use std::path::Path;

use swift_tests::{Outcome, built, golden, swift_host};

/// Every kind of plugin.
const KINDS: [&str; 12] = [
    "loss",
    "model",
    "callback",
    "dataset",
    "metric",
    "schedule",
    "optimizer",
    "reward",
    "template",
    "loss-scale",
    "sampler",
    "tool-parser",
];

/// Gives a project the versions that the workspace has, so that nothing is downloaded, and what was built for others.
fn prepare(project: &Path) {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    fs::copy(lock, project.join("Cargo.lock")).unwrap();
    std::os::unix::fs::symlink(built().unwrap(), project.join("target")).unwrap();
}

fn succeed(folder: &Path, words: &[&str]) -> Outcome {
    let outcome = Outcome::from(swift_host(folder).unwrap().args(words).output().unwrap());
    assert_eq!(outcome.code, Some(0), "{words:?}:\n{}", outcome.stderr);
    outcome
}

#[test]
fn a_new_loss_is_built_checked_and_trained_with() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("my-loss");
    let made = succeed(folder.path(), &["plugin", "new", "my-loss"]).stdout;
    assert_eq!(made, "my-loss/Cargo.toml\nmy-loss/.gitignore\nmy-loss/src/lib.rs\n");

    // An edit: the loss is halved.
    let source = project.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, text.replace("pub scale: f64 = 1.0", "pub scale: f64 = 0.5")).unwrap();

    prepare(&project);
    let mut build = swift_host(&project).unwrap();
    let built = build.args(["plugin", "build"]).env("CARGO_NET_OFFLINE", "true").output().unwrap();
    let built = Outcome::from(built);
    assert_eq!((built.code, built.stdout.as_str()), (Some(0), "./my-loss.wasm\n"), "{}", built.stderr);

    let checked = succeed(&project, &["plugin", "check", "./my-loss.wasm"]).stdout;
    assert!(checked.contains("by `token_logps` is that of finite differences"), "{checked}");
    assert!(checked.ends_with(" 0 failed\n"), "{checked}");

    let data = golden("traces/sft/data.jsonl").display().to_string();
    let model = golden("tiny-qwen2").display().to_string();
    let losses = ["1.0", "0.5"].map(|scale| {
        let words = ["run", "--plugin", "./my-loss.wasm", "--template", "qwen", "--max-steps", "1"];
        let rest = ["--model", &model, "--dataset", &data, "--scale", scale, "--output-dir", scale];
        succeed(&project, &[&words[..], &rest[..]].concat());
        let log = fs::read_to_string(project.join(scale).join("logging.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        line["loss"].as_f64().unwrap()
    });
    assert!((losses[1] / losses[0] - 0.5).abs() < 1e-6, "{losses:?}");
}

#[test]
fn a_new_project_of_every_kind_is_built_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"architectures": ["MineForCausalLM"], "model_type": "any_model", "hidden_size": 8, "vocab_size": 10,
        "num_hidden_layers": 2, "num_attention_heads": 2}"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    for kind in KINDS {
        let name = format!("any-{kind}");
        succeed(folder.path(), &["plugin", "new", &name, "--kind", kind]);
        let project = folder.path().join(&name);
        prepare(&project);
        let mut build = swift_host(&project).unwrap();
        let built = build.args(["plugin", "build"]).env("CARGO_NET_OFFLINE", "true").output().unwrap();
        let built = Outcome::from(built);
        assert_eq!(built.code, Some(0), "{kind}: {}", built.stderr);
        let component = format!("./{name}/{name}.wasm");
        let checked = succeed(folder.path(), &["plugin", "check", &component, "--config", "config.json"]);
        assert!(checked.stdout.contains(&format!("passed  {kind} ")), "{}", checked.stdout);
        assert!(checked.stdout.ends_with(" 0 failed\n"), "{}", checked.stdout);
    }
}

#[test]
fn what_can_not_be_begun_or_built_is_said_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |words: &[&str]| {
        let outcome = Outcome::from(swift_host(folder.path()).unwrap().args(words).output().unwrap());
        assert_ne!(outcome.code, Some(0), "{words:?}");
        outcome.stderr
    };
    let text = refused(&["plugin", "new", "Mine"]);
    assert!(
        text.contains("`Mine` is no name for a plugin") && text.contains("hint: use lower-case"),
        "{text}"
    );
    let text = refused(&["plugin", "new", "mine", "--lang", "python", "--kind", "tracker"]);
    assert!(text.contains("hint: the kinds are `loss`, `model`, "), "{text}");
    let text = refused(&["plugin", "build", "."]);
    assert!(text.contains("`.` is no plugin project") && text.contains("hint: name a folder"), "{text}");
}
