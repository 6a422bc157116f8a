//! Where things are kept.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A folder of things that can be made again: below `$SWIFT_HOST_CACHE`, or else below the user's cache folder; none if
/// there is neither.
pub(crate) fn cache(name: &str) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = variable("SWIFT_HOST_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("swift-host")))
        .or_else(|| Some(variable("HOME")?.join(".cache/swift-host")))?;
    Some(root.join(name))
}

/// The folder of all runs of a model that get a folder by default: `output/MODEL`.
pub(crate) fn runs_of(model: &Path) -> anyhow::Result<PathBuf> {
    let whole = std::path::absolute(model)?;
    let name = whole.file_name().with_context(|| format!("The model `{}` has no name", model.display()))?;
    Ok(Path::new("output").join(name))
}

/// A new folder in `runs` by the name `vN-YYYYMMDD-HHMMSS`, N being one more than that of the newest.
pub(crate) fn new_run(runs: &Path, now: jiff::civil::DateTime) -> PathBuf {
    let version = names(runs).iter().filter_map(|name| version(name)).max().map_or(0, |newest| newest + 1);
    runs.join(format!("v{version}-{}", now.strftime("%Y%m%d-%H%M%S")))
}

/// The folders in `runs` that [`new_run`] has named, the newest first.
pub(crate) fn versions(runs: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<_> =
        names(runs).into_iter().filter_map(|name| Some((version(&name)?, name))).collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, name)| runs.join(name)).collect()
}

fn version(name: &str) -> Option<u64> {
    name.strip_prefix('v')?.split('-').next()?.parse().ok()
}

/// Names of what lies in a folder; none if it is not there.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_numbered() {
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-01-02T03:04:05".parse().unwrap();
        assert_eq!(new_run(folder.path(), now), folder.path().join("v0-20260102-030405"));
        for name in ["v9-20260101-000000", "v10-20260101-000000", "notes"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(new_run(folder.path(), now), folder.path().join("v11-20260102-030405"));
    }

    #[test]
    fn the_newest_run_is_the_one_with_the_highest_number() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["v9-x", "v10-x", "other"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(versions(folder.path()), ["v10-x", "v9-x"].map(|name| folder.path().join(name)));
    }
}
