//! The table of sizes tells how long the definitions are now.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise, helpers of tests too"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Lines of the Rust files in a folder, without tests.
fn lines(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let counts = entries.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        match (name, path.is_dir()) {
            ("tests" | "tests.rs", _) => 0,
            (_, true) => lines(&path),
            _ => {
                fs::read_to_string(&path).unwrap().lines().take_while(|line| *line != "#[cfg(test)]").count()
            }
        }
    });
    counts.sum()
}

#[test]
fn the_table_of_sizes_counts_the_lines_that_there_are() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected = BTreeMap::new();
    for entry in fs::read_dir(here.join("models")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            expected.insert(format!("`{name}`"), lines(&path.join("src")));
        }
    }
    let sdk = here.join("../sdk/rust/src");
    expected.insert("what they share".into(), lines(&sdk.join("decoder")) + lines(&sdk.join("mixture")));
    expected.insert("all".into(), expected.values().sum());

    let table = fs::read_to_string(here.join("models/README.md")).unwrap();
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        Some(((*cells.get(1)?).to_owned(), cells.get(2)?.parse().ok()?))
    });
    assert_eq!(rows.collect::<BTreeMap<String, usize>>(), expected, "plugins/models/README.md");
}
