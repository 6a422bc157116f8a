//! Introductions show code that is compiled and tested elsewhere. A line
//!
//! ```text
//! @include rust plugins/losses/sft/src/lib.rs from "parameters!" until "#[cfg(test)]"
//! ```
//!
//! becomes that part of the file, from the first line that holds the first text to the line before the next one that holds
//! the second. Without `from` it begins with the file, without `until` it ends with it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// What a line that begins with this names is put in its place.
const DIRECTIVE: &str = "@include ";

/// The text with all files put in. Links lead there from a page in `docs/reference`.
pub(super) fn expand(root: &Path, text: &str) -> Result<String> {
    let mut expanded = String::new();
    for line in text.lines() {
        match line.strip_prefix(DIRECTIVE) {
            Some(directive) => {
                expanded.push_str(&include(root, directive).with_context(|| format!("`{line}`"))?);
            }
            None => expanded.push_str(line),
        }
        expanded.push('\n');
    }
    Ok(expanded)
}

fn include(root: &Path, directive: &str) -> Result<String> {
    let mut quoted = directive.split('"');
    let head = quoted.next().unwrap_or_default();
    let words: Vec<&str> = head.split_whitespace().collect();
    let [language, path, rest @ ..] = words.as_slice() else { bail!("a language and a path are missing") };
    let mut key = rest.first().copied();
    let (mut from, mut until) = (None, None);
    while let Some(word) = key {
        let value = quoted.next().context("a text in quotes is missing")?;
        match word {
            "from" => from = Some(value),
            "until" => until = Some(value),
            other => bail!("`{other}` is neither `from` nor `until`"),
        }
        key = quoted.next().map(str::trim).filter(|word| !word.is_empty());
    }
    let code = fs::read_to_string(root.join(path)).with_context(|| format!("can't read `{path}`"))?;
    let part = part(&code, from, until)?;
    Ok(format!("```{language}\n{part}\n```\n\nfrom [`{path}`](../../{path})"))
}

/// Lines of a file without their common indentation.
fn part(code: &str, from: Option<&str>, until: Option<&str>) -> Result<String> {
    let lines: Vec<&str> = code.lines().collect();
    let first = match from {
        Some(from) => lines
            .iter()
            .position(|line| line.contains(from))
            .with_context(|| format!("there is no `{from}`"))?,
        None => 0,
    };
    let rest = lines.get(first..).unwrap_or_default();
    let count = match until {
        Some(until) => {
            let after = rest.iter().skip(1).position(|line| line.contains(until));
            after.with_context(|| format!("there is no `{until}` after the beginning"))? + 1
        }
        None => rest.len(),
    };
    let taken = rest.get(..count).unwrap_or_default();
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let common =
        taken.iter().filter(|line| !line.trim().is_empty()).map(indentation).min().unwrap_or_default();
    let lines: Vec<&str> = taken.iter().map(|line| line.get(common..).unwrap_or_default()).collect();
    Ok(lines.join("\n").trim_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "use a;\n\nclass A:\n    def f():\n        pass\n\n    def g():\n        pass\n";

    #[test]
    fn a_part_is_cut_out_and_moved_to_the_left() {
        assert_eq!(part(CODE, Some("def f"), Some("def g")).unwrap(), "def f():\n    pass");
        assert_eq!(part(CODE, None, Some("class")).unwrap(), "use a;");
        assert_eq!(part(CODE, Some("def g"), None).unwrap(), "def g():\n    pass");
    }

    #[test]
    fn a_part_that_is_not_there_is_named() {
        assert_eq!(part(CODE, Some("def h"), None).unwrap_err().to_string(), "there is no `def h`");
        let error = part(CODE, Some("def g"), Some("def f")).unwrap_err().to_string();
        assert_eq!(error, "there is no `def f` after the beginning");
    }

    #[test]
    fn a_line_becomes_code_with_a_link_to_its_file() {
        let folder = std::env::temp_dir().join(format!("include-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.py"), CODE).unwrap();
        let text = expand(&folder, "before\n@include python a.py from \"def f\" until \"def g\"\nafter\n");
        let missing = expand(&folder, "@include python b.py\n");
        let wrong = expand(&folder, "@include python a.py to \"x\"\n");
        fs::remove_dir_all(&folder).unwrap();
        let expected = "before\n```python\ndef f():\n    pass\n```\n\nfrom [`a.py`](../../a.py)\nafter\n";
        assert_eq!(text.unwrap(), expected);
        assert_eq!(missing.unwrap_err().to_string(), "`@include python b.py`");
        assert!(format!("{:#}", wrong.unwrap_err()).contains("`to` is neither `from` nor `until`"));
    }
}
