//! The guide to a first loss in Python, done as it is written, beside the one in Rust: `cargo xtask python` runs this.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use swift_tests::{Guide, golden, read_json_lines, workplace};

    /// Follows a guide, shows how long each of its commands takes, and gives the folder of its run.
    fn follow(language: &str) -> PathBuf {
        let wheels = std::env::var("SWIFT_PYTHON_WHEELS");
        let wheels = wheels.expect("`SWIFT_PYTHON_WHEELS` is a folder that `cargo xtask python` makes");
        // What is installed comes from there, so that nothing is downloaded.
        let variables = [
            ("MODEL", golden("tiny-qwen2").display().to_string()),
            ("PIP_NO_INDEX", "1".to_owned()),
            ("PIP_FIND_LINKS", wheels),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
        ];
        let page = format!("docs/first-loss-{language}.md");
        let folder = workplace(&format!("both/{language}")).unwrap();
        let guide = Guide::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&page)).unwrap();
        let times = guide.follow(&folder, &variables).unwrap_or_else(|error| panic!("{page}: {error:#}"));
        for (command, time) in times {
            println!("{:7.2} s  {command}", time.as_secs_f64());
        }
        folder.join("gce/out")
    }

    /// What every line of a run's log has of the loss and its metric.
    fn trace(run: &Path) -> Vec<[f64; 3]> {
        let lines = read_json_lines(&run.join("logging.jsonl")).unwrap();
        let steps = lines.iter().filter(|line| line.get("grad_norm").is_some());
        steps
            .map(|line| ["loss", "grad_norm", "probability"].map(|key| line[key].as_f64().unwrap()))
            .collect()
    }

    #[test]
    fn the_first_loss_trains_alike_in_python_and_in_rust() {
        let [python, rust] = ["python", "rust"].map(|language| trace(&follow(language)));
        assert_eq!(python.len(), rust.len());
        assert!(rust.len() > 3 && rust[rust.len() - 1][0] < rust[0][0], "{rust:?}");
        for (step, (python, rust)) in python.iter().zip(&rust).enumerate() {
            for (python, rust) in python.iter().zip(rust) {
                assert!((python - rust).abs() <= 1e-6 * rust.abs(), "line {}: {python} {rust}", step + 1);
            }
        }
    }
}
