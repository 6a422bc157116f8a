//! The host names no architecture: how models are wired is said by plugins, and which there are by this crate's data.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise, helpers of tests too"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use swift_registry::Registry;

/// What endings of class names tell that a model is meant, whether the registry has it or not.
const ENDINGS: [&str; 3] = ["ForCausalLM", "ForConditionalGeneration", "LMHeadModel"];

/// Words that are names of types of models and mean something else in a file: vLLM's names of parsers, which clients know.
const OTHERWISE: [(&str, &str); 1] = [("serve/src/parser.rs", "qwen3")];

/// The Rust files of a folder that are compiled into the executable.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !["tests", "templates", "examples"].contains(&name) {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

/// The code of a file: what is neither comment nor unit test.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// Names in a text, as they would stand in code.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

fn host() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["../../host", "../../kernels"] {
        sources(&here.join(folder), &mut files);
    }
    assert!(files.len() > 100, "the folders have moved");
    files
}

#[test]
fn no_code_of_the_host_names_the_class_of_a_model() {
    let registry = Registry::embedded().unwrap();
    let classes: BTreeSet<&str> =
        registry.models().iter().flat_map(|model| &model.architectures).map(String::as_str).collect();
    for file in host() {
        let code = code(&fs::read_to_string(&file).unwrap());
        for word in words(&code) {
            let ends = ENDINGS.iter().any(|ending| word.len() > ending.len() && word.ends_with(ending));
            assert!(!ends && !classes.contains(word), "`{}` names `{word}`", file.display());
        }
    }
}

#[test]
fn no_code_of_the_host_has_the_type_of_a_model_as_a_text() {
    let registry = Registry::embedded().unwrap();
    let models = registry.models();
    let types: BTreeSet<&str> = models
        .iter()
        .flat_map(|model| [Some(model.model_type.as_str()), model.config_type.as_deref()])
        .flatten()
        .collect();
    for file in host() {
        let code = code(&fs::read_to_string(&file).unwrap());
        // What stands between two quotation marks, be they the two of a text or not.
        for text in code.split('"') {
            let otherwise = OTHERWISE.iter().any(|(end, word)| file.ends_with(end) && *word == text);
            assert!(otherwise || !types.contains(text), "`{}` names `{text}`", file.display());
        }
    }
}

#[test]
fn names_are_found_where_they_are() {
    let text = "// QWenLMHeadModel\nlet x = [\"XForCausalLM\"];\n#[cfg(test)]\nmod tests {\n    YForCausalLM";
    let code = code(text);
    assert_eq!(words(&code).filter(|word| ENDINGS.iter().any(|end| word.ends_with(end))).count(), 1);
}
