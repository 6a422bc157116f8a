use std::fs;
use std::path::{Path, PathBuf};

use crate::language::Entry;
use crate::{Error, Language, Result};

/// A project to be made.
#[derive(Clone, Debug)]
pub struct Project<'a> {
    /// What it is written in.
    pub language: Language,
    /// The kind of its plugin, such as `loss`.
    pub kind: &'a str,
    /// The plugin's name: lower-case letters, digits and `-`.
    pub name: &'a str,
    /// The folder that is made.
    pub folder: &'a Path,
}

/// Makes a project that builds and passes its own test, and gives the files that it has.
///
/// The project depends on the SDK in the source that this was built from, if that is still there, or else on the published
/// one of the same version.
///
/// # Errors
/// If the name is none, the folder is there already, there is no such project to begin with, or a file can't be written.
pub fn create(project: &Project<'_>) -> Result<Vec<PathBuf>> {
    let Project { language, kind, name, folder } = project;
    if !is_name(name) {
        return Err(Error::Name((*name).to_owned()));
    }
    if folder.exists() {
        return Err(Error::Exists(folder.to_path_buf()));
    }
    let entry = language.entry();
    let Some((_, files)) = entry.beginnings.iter().find(|(known, _)| known == kind) else {
        return Err(Error::Kind {
            language: entry.name,
            kind: (*kind).to_owned(),
            known: language.kinds().collect(),
        });
    };
    let replaced = |text: &str| {
        let text =
            text.replace("PluginName", &type_name(name)).replace("plugin_name", &name.replace('-', "_"));
        text.replace("plugin-name", name).replace("SWIFT_SDK", &sdk(entry))
    };
    let mut made = Vec::new();
    for (path, text) in entry.common.iter().chain(*files) {
        let path = folder.join(replaced(path));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
        }
        fs::write(&path, replaced(text)).map_err(Error::file("write", &path))?;
        made.push(path);
    }
    Ok(made)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-')
}

/// `early-stopping` as `EarlyStopping`.
fn type_name(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('-').map(capitalised).collect()
}

/// What a project says of the SDK that it depends on.
fn sdk(entry: &Entry) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk").join(entry.sdk);
    let source = source.canonicalize().ok().filter(|source| source.is_dir());
    (entry.dependency)(source.as_deref(), env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_also_that_of_a_type_and_a_module() {
        assert_eq!(type_name("early-stopping"), "EarlyStopping");
        assert!(is_name("a2-b") && !is_name("2a") && !is_name("A") && !is_name("a-") && !is_name("../a"));
    }

    #[test]
    fn a_project_has_its_name_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        for language in Language::ALL {
            for (kind, _) in language.entry().beginnings {
                let folder = folder.path().join(language.name()).join(kind);
                let project = Project { language, kind, name: "my-own", folder: &folder };
                let files = create(&project).unwrap();
                for file in &files {
                    let text = fs::read_to_string(file).unwrap();
                    for left in ["PluginName", "plugin_name", "plugin-name", "SWIFT_SDK"] {
                        assert!(!text.contains(left), "{}: {left}", file.display());
                    }
                }
                assert!(files.len() >= 3);
                assert!(matches!(create(&project), Err(Error::Exists(_))));
            }
        }
    }

    #[test]
    fn what_can_not_be_begun_says_what_can() {
        let folder = tempfile::tempdir().unwrap().path().join("x");
        let project = |kind, name| Project { language: Language::Python, kind, name, folder: &folder };
        let error = create(&project("tracker", "x")).unwrap_err();
        assert_eq!(error.to_string(), "There is no project in `python` for the kind `tracker`");
        assert_eq!(
            error.hint().unwrap(),
            "the kinds are `loss`, `model`, `callback`, `dataset`, `metric`, `schedule`, `optimizer`, `reward`, `template`, `loss-scale`, `sampler`, `tool-parser`"
        );
        assert_eq!(create(&project("loss", "X")).unwrap_err().to_string(), "`X` is no name for a plugin");
        assert!(!folder.exists());
    }
}
