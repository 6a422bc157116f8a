//! The worked example of an SDK through the command line: `cargo xtask python`, `javascript` and `c` build it and run this.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use serde_json::Value;
    use swift_tests::{Run, golden, plugin};

    /// The folder of components that were written in another language.
    fn plugins() -> PathBuf {
        let folder = std::env::var_os("SWIFT_SDK_PLUGINS");
        folder.expect("`SWIFT_SDK_PLUGINS` is the folder that `cargo xtask LANGUAGE` makes").into()
    }

    fn arguments(plugin: &Path) -> Vec<String> {
        let data = golden("traces/sft/data.jsonl");
        let adapter = golden("traces/sft/init_adapter");
        [
            ("model", golden("tiny-qwen2").display().to_string()),
            ("template", "qwen".into()),
            ("dataset", data.display().to_string()),
            ("adapters", adapter.display().to_string()),
            ("plugin", plugin.display().to_string()),
            ("gamma", "1.5".into()),
            ("max-steps", "6".into()),
            ("logging-steps", "1".into()),
            ("per-device-train-batch-size", "2".into()),
            ("gradient-accumulation-steps", "2".into()),
            ("save-strategy", "no".into()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [format!("--{flag}"), value])
        .collect()
    }

    fn trace(plugin: &Path) -> Vec<[f64; 3]> {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::succeed(folder.path(), "out", &arguments(plugin)).unwrap();
        let lines = run.log_lines("grad_norm").unwrap();
        let numbers =
            |line: &Value| ["loss", "grad_norm", "focal/weight"].map(|key| line[key].as_f64().unwrap());
        lines.iter().map(numbers).collect()
    }

    #[test]
    fn the_example_and_its_sibling_in_rust_train_alike() {
        let other = trace(&plugins().join("focal.wasm"));
        let rust = trace(&plugin("focal").unwrap());
        assert_eq!((other.len(), rust.len()), (6, 6));
        for (step, (other, rust)) in other.iter().zip(&rust).enumerate() {
            for (other, rust) in other.iter().zip(rust) {
                assert!((other - rust).abs() <= 1e-6 * rust.abs(), "step {}: {other} {rust}", step + 1);
            }
        }
        assert!(rust.last().unwrap()[0] < rust[0][0], "{rust:?}");
    }
}
