use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Numbers of an earlier check, to be met again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The loss of each seeded batch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loss: Vec<f64>,
    /// Metrics by name, a number for each seeded batch in which they are finite.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, Vec<f64>>,
}

/// What can go wrong with a golden file.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// It could not be read.
    #[error("Failed to read the golden file `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It holds something else.
    #[error("`{}` is not a golden file", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        cause: serde_json::Error,
    },
    /// It could not be written.
    #[error("Failed to write the golden file `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

impl Golden {
    /// Where the golden file of a component lies: `NAME.golden.json` beside `NAME.wasm`.
    pub fn beside(component: &Path) -> PathBuf {
        component.with_extension("golden.json")
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.loss.is_empty() && self.metrics.is_empty()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read or is no golden file.
    pub fn read(path: &Path) -> Result<Self, GoldenError> {
        let text = std::fs::read(path).map_err(|cause| GoldenError::Read { path: path.to_owned(), cause })?;
        serde_json::from_slice(&text).map_err(|cause| GoldenError::Content { path: path.to_owned(), cause })
    }

    /// Writes a file: beside its place and then renamed, so that there is never half of one.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, path: &Path) -> Result<(), GoldenError> {
        let write = || {
            let mut text = serde_json::to_string_pretty(self)?;
            text.push('\n');
            let beside = path.with_extension(format!("{}.part", std::process::id()));
            std::fs::write(&beside, text)?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|cause| GoldenError::Write { path: path.to_owned(), cause })
    }

    /// Adds other numbers.
    pub(crate) fn extend(&mut self, other: Self) {
        self.loss.extend(other.loss);
        self.metrics.extend(other.metrics);
    }

    /// The first number that is not within `tolerance` of what it was: its name, what it was, what it is.
    pub(crate) fn difference(&self, now: &Self, tolerance: f64) -> Option<(String, String, String)> {
        let pairs = std::iter::once(("loss".to_owned(), &self.loss, Some(&now.loss)));
        let metrics = self
            .metrics
            .iter()
            .map(|(name, values)| (format!("metric `{name}`"), values, now.metrics.get(name)));
        let near = |was: &f64, is: &f64| (was - is).abs() <= tolerance * (1.0 + was.abs());
        pairs.chain(metrics).find_map(|(name, was, is)| {
            let is = is.map_or(&[][..], Vec::as_slice);
            let same = was.len() == is.len() && was.iter().zip(is).all(|(was, is)| near(was, is));
            (!same).then(|| (name, format!("{was:?}"), format!("{is:?}")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = Golden::beside(&folder.path().join("some.wasm"));
        assert!(path.ends_with("some.golden.json"));
        let metrics = BTreeMap::from([("margin".to_owned(), vec![0.1 + 0.2])]);
        let golden = Golden { loss: vec![1.0 / 3.0, 2.5e-300], metrics };
        golden.write(&path).unwrap();
        assert_eq!(Golden::read(&path).unwrap(), golden);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_number_that_moved_or_is_gone_is_named() {
        let metrics = BTreeMap::from([("margin".to_owned(), vec![2.0])]);
        let golden = Golden { loss: vec![1.0], metrics };
        assert_eq!(golden.difference(&golden, 1e-9), None);
        let moved = Golden { loss: vec![1.1], ..golden.clone() };
        assert_eq!(golden.difference(&moved, 1e-9).unwrap().0, "loss");
        let gone = Golden { metrics: BTreeMap::new(), ..golden.clone() };
        assert_eq!(golden.difference(&gone, 1e-9).unwrap().0, "metric `margin`");
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.golden.json");
        std::fs::write(&path, "{\"losses\": []}").unwrap();
        assert!(matches!(Golden::read(&path), Err(GoldenError::Content { .. })));
    }
}
