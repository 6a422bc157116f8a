//! Grants, from a recipe through the executable to a plugin that needs them.

use std::fs;
use std::path::Path;

use serde_json::json;
use swift_tests::{Outcome, golden, plugin, read_json, swift_host};

/// A recipe that trains one step with a plugin that needs a file and a variable.
fn run(folder: &Path, grants: &str) -> Outcome {
    let quoted = |path: &Path| format!("'{}'", path.display());
    let recipe = format!(
        "plugin = {}\nmodel = {}\ndataset = {}\ntemplate = 'qwen'\nmax_steps = 1\nmax_length = 512\n{grants}",
        quoted(&plugin("granted").unwrap()),
        quoted(&golden("tiny-qwen2")),
        quoted(&golden("traces/sft/data.jsonl")),
    );
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    let mut command = swift_host(folder).unwrap();
    command.env("SCALE", "0.03125").args(["run", "recipe.toml", "--output-dir", "out"]);
    command.output().unwrap().into()
}

#[test]
fn a_plugin_gets_what_the_recipe_grants_and_the_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/scale.txt"), "0.5\n").unwrap();
    let grants = "[grants.granted]\nread = { '/data' = './data' }\nenv = ['SCALE']\nmemory = 64\ntimeout = 5";
    let Outcome { code, stderr, .. } = run(folder.path(), grants);
    assert_eq!(code, Some(0), "{stderr}");
    let told = "`granted` may read `./data::/data`, see the variable `SCALE`, use 64 MiB of memory, take 5 seconds in a call\n";
    assert!(stderr.contains(told), "{stderr}");
    let given = json!({ "read": ["./data::/data"], "env": ["SCALE"], "memory": 64, "timeout": 5.0 });
    let out = folder.path().join("out");
    assert_eq!(read_json(&out.join("run.lock.json")).unwrap()["plugins"]["granted"]["grants"], given);
    assert_eq!(read_json(&out.join("args.json")).unwrap()["grants"], json!({ "granted": given }));
    for file in ["run.lock.json", "args.json"] {
        assert!(!fs::read_to_string(out.join(file)).unwrap().contains("0.03125"), "a value is in `{file}`");
    }
}

#[test]
fn without_a_grant_the_plugin_fails_and_the_hint_names_the_grant() {
    let folder = tempfile::tempdir().unwrap();
    let Outcome { code, stderr, .. } = run(folder.path(), "");
    assert_eq!(code, Some(1), "{stderr}");
    let error = "error: The plugin `granted` failed in `compute`: there is no `scale.txt`\n\
                 hint: these are the plugin's own words; its documentation may say more; if it needs directories, \
                 `--grant 'granted.read=DIRECTORY'` grants one\n";
    assert!(stderr.ends_with(error), "{stderr}");
}

#[test]
fn a_grant_that_makes_no_sense_is_refused_with_what_would() {
    let folder = tempfile::tempdir().unwrap();
    for (grants, expected) in [
        (
            "[grants.granted]\nred = ['./data']",
            "error: `red` is nothing that `granted` could be granted\n\
             hint: the keys of grants are `read`, `write`, `env`, `hosts`, `memory`, `timeout`\n",
        ),
        (
            "[grants.grnted]\nread = ['./data']",
            "error: `grnted` is granted something, but no plugin of this name takes part in this run\n\
             hint: it has `granted`; name others with `--plugin`\n",
        ),
    ] {
        let Outcome { code, stderr, .. } = run(folder.path(), grants);
        assert_eq!((code, stderr.as_str()), (Some(2), expected));
    }
    let Outcome { code, stderr, .. } = run(folder.path(), "[grants.granted]\nread = ['./nowhere']");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("The plugin `granted` can't be granted the directory `./nowhere`: "), "{stderr}");
}

#[test]
fn a_plugin_says_what_it_wants() {
    let folder = tempfile::tempdir().unwrap();
    let wants = |name: &str| {
        let mut command = swift_host(folder.path()).unwrap();
        command.args(["plugin", "inspect", name]);
        let Outcome { stdout, .. } = command.output().unwrap().into();
        stdout.lines().find_map(|line| line.strip_prefix("wants    ")).unwrap().to_owned()
    };
    assert_eq!(wants(plugin("granted").unwrap().to_str().unwrap()), "directories, environment variables");
    assert_eq!(wants("sft"), "nothing");
}
