use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// What determines the result of a run, for `run.lock.json`. Two runs with equal locks give the same weights.
///
/// A run can only be resumed with the lock that it was started with, versions aside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunLock {
    /// Versions of this program and what it computes with. Another one is allowed on resuming, and reported.
    pub versions: BTreeMap<String, String>,
    /// Plugins by name.
    pub plugins: BTreeMap<String, LockedPlugin>,
    /// Digests of model files, `sha256:…`, by role and name: `model/config.json`, `reference/model.safetensors`.
    pub models: BTreeMap<String, String>,
    /// Data files, training first, in the order in which they are read.
    pub data: Vec<LockedData>,
    /// Settings that decide what is in a batch and what is trained, by the names of their flags.
    pub settings: BTreeMap<String, Value>,
}

/// A plugin in a [`RunLock`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockedPlugin {
    /// `sha256:…` of its file.
    pub digest: String,
    /// The version that it says it has.
    pub version: String,
    /// Where it came from: a path, a reference with a digest, or `standard`. Not compared.
    pub origin: String,
    /// The hyper-parameters that it was given.
    pub arguments: serde_json::Map<String, Value>,
    /// What it was granted outside of its sandbox; of environment variables the names.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub grants: serde_json::Map<String, Value>,
}

/// A data file in a [`RunLock`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockedData {
    /// Its path as given. Not compared: the content is what counts.
    pub path: String,
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// Rows taken of it.
    pub rows: usize,
    /// Whether it belongs to the validation set.
    pub validation: bool,
}

impl RunLock {
    /// Its name in a run directory.
    pub const FILE: &str = "run.lock.json";

    /// That of an earlier run.
    ///
    /// # Errors
    /// If the file can't be read or is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(Error::read(path))?;
        serde_json::from_slice(&text).map_err(std::io::Error::from).map_err(Error::read(path))
    }

    /// What has changed since `before` and makes another run of it, each as ``the setting `x` was `1` and is `2` ``.
    pub(crate) fn changes(&self, before: &Self) -> Vec<String> {
        let plugins = differences(&before.plugins, &self.plugins, |name, before, now| match (before, now) {
            (None, Some(_)) => Some(format!("the plugin `{name}` is new")),
            (Some(_), None) => Some(format!("the plugin `{name}` is not there any more")),
            (Some(before), Some(now)) if before.digest != now.digest => {
                Some(format!("the plugin `{name}` has changed from `{}` to `{}`", before.digest, now.digest))
            }
            (Some(before), Some(now)) if before.arguments != now.arguments => Some(format!(
                "the plugin `{name}` had the arguments `{}` and has `{}`",
                Value::Object(before.arguments.clone()),
                Value::Object(now.arguments.clone())
            )),
            (Some(before), Some(now)) if before.grants != now.grants => Some(format!(
                "the plugin `{name}` had the grants `{}` and has `{}`",
                Value::Object(before.grants.clone()),
                Value::Object(now.grants.clone())
            )),
            _ => None,
        });
        let models = differences(&before.models, &self.models, |name, before, now| match (before, now) {
            (None, Some(_)) => Some(format!("the model file `{name}` is new")),
            (Some(_), None) => Some(format!("the model file `{name}` is not there any more")),
            (before, now) => (before != now).then(|| format!("the model file `{name}` has changed")),
        });
        let settings = differences(&before.settings, &self.settings, |name, before, now| {
            let text =
                |value: Option<&Value>| value.map_or_else(|| "not set".into(), |value| format!("`{value}`"));
            (before != now).then(|| format!("the setting `{name}` was {} and is {}", text(before), text(now)))
        });
        [plugins, models, self.changed_data(before), settings].concat()
    }

    fn changed_data(&self, before: &Self) -> Vec<String> {
        let kind = |data: &LockedData| if data.validation { "validation data" } else { "data" };
        if self.data.len() != before.data.len() {
            return vec![format!("it was {} data files and is {}", before.data.len(), self.data.len())];
        }
        let pairs = before.data.iter().zip(&self.data);
        pairs
            .filter_map(|(before, now)| {
                let same = (&before.digest, before.validation) == (&now.digest, now.validation);
                if !same {
                    return Some(format!("the {} in `{}` has changed", kind(now), now.path));
                }
                let (rows, path) = (before.rows, &now.path);
                (rows != now.rows)
                    .then(|| format!("{rows} rows of `{path}` were taken and now {} are", now.rows))
            })
            .collect()
    }

    /// Which versions are others than `before`, each as ``the version of `x` was `1` and is `2` ``.
    pub(crate) fn changed_versions(&self, before: &Self) -> Vec<String> {
        differences(&before.versions, &self.versions, |name, before, now| {
            let text = |version: Option<&String>| version.cloned().unwrap_or_else(|| "none".into());
            let (before, now) = (text(before), text(now));
            (before != now).then(|| format!("the version of `{name}` was `{before}` and is `{now}`"))
        })
    }
}

/// Asks about every name in either map, in order.
fn differences<V>(
    before: &BTreeMap<String, V>,
    now: &BTreeMap<String, V>,
    difference: impl Fn(&str, Option<&V>, Option<&V>) -> Option<String>,
) -> Vec<String> {
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    names.filter_map(|name| difference(name, before.get(name), now.get(name))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lock() -> RunLock {
        let plugin = LockedPlugin {
            digest: "sha256:1".into(),
            version: "1".into(),
            origin: "standard".into(),
            arguments: serde_json::Map::new(),
            grants: serde_json::Map::new(),
        };
        let data =
            LockedData { path: "a.jsonl".into(), digest: "sha256:2".into(), rows: 12, validation: false };
        RunLock {
            versions: [("swift-host".into(), "1".into())].into(),
            plugins: [("loss".into(), plugin)].into(),
            models: [("model/config.json".into(), "sha256:3".into())].into(),
            data: vec![data],
            settings: [("seed".into(), json!(42))].into(),
        }
    }

    #[test]
    fn a_file_that_has_only_moved_is_no_change() {
        let mut moved = lock();
        moved.data[0].path = "elsewhere/a.jsonl".into();
        moved.plugins.get_mut("loss").unwrap().origin = "./loss.wasm".into();
        moved.versions.insert("swift-host".into(), "2".into());
        assert_eq!(moved.changes(&lock()), [""; 0]);
        assert_eq!(moved.changed_versions(&lock()), ["the version of `swift-host` was `1` and is `2`"]);
    }

    #[test]
    fn every_change_is_named() {
        let mut now = lock();
        now.plugins.get_mut("loss").unwrap().arguments.insert("beta".into(), json!(0.2));
        now.models.insert("model/config.json".into(), "sha256:9".into());
        now.data[0].rows = 6;
        now.settings.insert("seed".into(), json!(43));
        now.settings.insert("packing".into(), json!(true));
        let changes = [
            "the plugin `loss` had the arguments `{}` and has `{\"beta\":0.2}`",
            "the model file `model/config.json` has changed",
            "12 rows of `a.jsonl` were taken and now 6 are",
            "the setting `seed` was `42` and is `43`",
            "the setting `packing` was not set and is `true`",
        ];
        assert_eq!(now.changes(&lock()), changes);
        now = lock();
        now.plugins.get_mut("loss").unwrap().grants.insert("read".into(), json!(["./data"]));
        let granted = "the plugin `loss` had the grants `{}` and has `{\"read\":[\"./data\"]}`";
        assert_eq!(now.changes(&lock()), [granted]);
        now.plugins.clear();
        now.data.clear();
        assert!(now.changes(&lock()).contains(&"the plugin `loss` is not there any more".to_owned()));
        assert!(now.changes(&lock()).contains(&"it was 1 data files and is 0".to_owned()));
    }
}
