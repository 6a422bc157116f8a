//! Pages for authors of plugins, done as they are written.

use std::path::{Path, PathBuf};

use swift_tests::{Guide, golden, workplace};

fn page(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Follows a page, and shows how long each of its commands takes.
fn follow(name: &str, path: &str) {
    let variables = [
        ("MODEL", golden("tiny-qwen2").display().to_string()),
        ("ROWS", golden("traces/sft/data.jsonl").display().to_string()),
    ];
    let folder = workplace(name).unwrap();
    let times = Guide::read(&page(path)).unwrap().follow(&folder, &variables);
    for (command, time) in times.unwrap_or_else(|error| panic!("{path}: {error:#}")) {
        println!("{:7.2} s  {command}", time.as_secs_f64());
    }
}

#[test]
fn the_readme_shows_a_loss_from_nothing_to_a_run() {
    follow("readme", "README.md");
}

#[test]
fn the_first_loss_in_rust_is_as_its_guide_says() {
    follow("rust", "docs/first-loss-rust.md");
}

#[test]
fn a_new_model_is_made_as_its_guide_says() {
    follow("new-model", "docs/new-model.md");
}

/// What is wrong with a page.
fn wrong(name: &str, page: &str) -> String {
    let guide = Guide::parse(page);
    guide.follow(&workplace(name).unwrap(), &[]).map(|times| times.len()).unwrap_err().to_string()
}

#[test]
fn a_page_that_shows_something_else_is_found() {
    let page = "Replace `a.txt` by:\n\n```text\nloss 0.25\n```\n\n```console\n$ cat a.txt\nloss 0.25\n$ cat \\\n    a.txt\n…\n```\n";
    let times = Guide::parse(page).follow(&workplace("right").unwrap(), &[]).unwrap();
    assert_eq!(
        times.iter().map(|(command, _)| command.as_str()).collect::<Vec<_>>(),
        ["cat a.txt", "cat \\\n    a.txt"]
    );
    let shown = wrong("number", &page.replacen("text\nloss 0.25", "text\nloss 0.26", 1));
    assert_eq!(shown, "`cat a.txt` prints\nloss 0.26\n\nand the guide shows\nloss 0.25");
    assert!(wrong("line", &page.replace("\nloss 0.25\n$", "\n$")).contains("and the guide shows\n"));
    assert!(
        wrong("command", &page.replace("$ cat a.txt", "$ cat b.txt")).starts_with("`cat b.txt` ended with 1")
    );
}

#[test]
fn times_may_differ_and_losses_only_as_they_are_rounded() {
    let is = |shown: &str, printed: &str| {
        let page = format!("```console\n$ printf '{printed}'\n{shown}\n```\n");
        Guide::parse(&page).follow(&workplace("lines").unwrap(), &[]).is_ok()
    };
    assert!(is("A call takes 6.0 µs, 9 in all", "A call takes 1234.5 µs, 9 in all"));
    assert!(!is("A call takes 6.0 µs, 9 in all", "A call takes 6.0 µs, 8 in all"));
    assert!(is("1/3 loss 7.3079  train_runtime 1.5", "1/3 loss 7.3080  train_runtime 99"));
    assert!(!is("1/3 loss 7.3079", "1/3 loss 7.4"));
    assert!(!is("sha256:12", "sha256:13") && !is("f32[2]", "f64[2]"));
    assert!(
        is("passed in 0.1s", "passed in 3.25s") && is("1 …, 3", "1 or 2, 3") && !is("1 …, 3", "1 or 2, 4")
    );
    assert!(is("a\n…\nd", "a\\nb\\nc\\nd\\n") && !is("a\n…\nd", "a\\nb\\n"));
}
