//! `cargo xtask docs`: writes the reference of the contract, `docs/reference`, from `wit/`, from the introductions in
//! `docs/kinds` and from the table of operations.

mod contract;
mod include;
mod interface;
mod operations;
mod pages;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// Where the pages are, from the root.
const FOLDER: &str = "docs/reference";

/// Writes the pages, or with `--check` says which are not as they would be written.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("`cargo xtask docs` takes no arguments but `--check`"),
    };
    let root = workspace::root();
    let stale = stale(&root)?;
    if check {
        return refuse(&stale);
    }
    for (path, text) in stale {
        let path = root.join(path);
        match text {
            Some(text) => {
                fs::create_dir_all(path.parent().unwrap_or(&root))?;
                fs::write(&path, text).with_context(|| format!("can't write `{}`", path.display()))?;
            }
            None => fs::remove_file(&path)?,
        }
        eprintln!("{}", path.display());
    }
    Ok(())
}

/// An error that names what is not up to date.
fn refuse(stale: &[(PathBuf, Option<String>)]) -> Result<()> {
    if stale.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = stale.iter().map(|(path, _)| format!("`{}`", path.display())).collect();
    bail!("{} would be written otherwise; `cargo xtask docs` does so", names.join(", "))
}

/// The pages that are not as they would be written: path from the root, and its text, or none if there is no such page.
fn stale(root: &Path) -> Result<Vec<(PathBuf, Option<String>)>> {
    let wanted = pages::all(root)?;
    let mut stale: Vec<(PathBuf, Option<String>)> = Vec::new();
    for (path, text) in &wanted {
        if fs::read_to_string(root.join(path)).ok().as_ref() != Some(text) {
            stale.push((path.clone(), Some(text.clone())));
        }
    }
    let present = fs::read_dir(root.join(FOLDER)).into_iter().flatten();
    let unwanted = present.flatten().map(|entry| Path::new(FOLDER).join(entry.file_name()));
    stale.extend(unwanted.filter(|path| !wanted.contains_key(path)).map(|path| (path, None)));
    stale.sort();
    Ok(stale)
}

/// Pages by their paths from the root.
type Pages = BTreeMap<PathBuf, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_as_the_contract_and_the_introductions_say() {
        refuse(&stale(&workspace::root()).unwrap()).unwrap();
    }

    #[test]
    fn a_stale_page_and_one_too_many_are_named() {
        let stale = [(PathBuf::from("docs/reference/loss.md"), Some(String::new())), ("old.md".into(), None)];
        let text = refuse(&stale).unwrap_err().to_string();
        assert_eq!(
            text,
            "`docs/reference/loss.md`, `old.md` would be written otherwise; `cargo xtask docs` does so"
        );
    }

    #[test]
    fn links_of_the_reference_and_of_what_is_written_around_it_lead_somewhere() {
        let root = workspace::root();
        let reference = fs::read_dir(root.join(FOLDER)).unwrap().map(|entry| entry.unwrap().path());
        let others =
            ["docs/README.md", "docs/debugging.md", "docs/versions.md", "tests/compatibility/README.md"];
        let mut looked_at = 0;
        for path in reference.chain(others.map(|path| root.join(path))) {
            let text = fs::read_to_string(&path).unwrap();
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let file = link.split('#').next().unwrap();
                if file.is_empty() || link.contains("://") {
                    continue;
                }
                assert!(path.parent().unwrap().join(file).exists(), "`{}` links to `{link}`", path.display());
                looked_at += 1;
            }
        }
        assert!(looked_at > 50, "{looked_at} links");
    }
}
