//! What determines a run, for `run.lock.json`, and what it was told, for `args.json`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use swift_data::Dataset;
use swift_runtime::Plugin;
use swift_train::{LockedData, LockedPlugin, RunLock};

use crate::grants::{self, GrantTable};
use crate::plugins::Values;
use crate::settings::Settings;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Arguments that are locked by their content, or do not change what comes out.
const NOT_LOCKED: [&str; 5] =
    ["dataset", "val_dataset", "adapters", "gradient_checkpointing", "resume_from_checkpoint"];

/// What takes part in a run.
pub(crate) struct Parts<'a> {
    pub(crate) plugins: Vec<&'a Plugin>,
    pub(crate) values: &'a Values,
    pub(crate) grants: &'a GrantTable,
    pub(crate) dataset: &'a Dataset,
    pub(crate) validation: Option<&'a Dataset>,
}

/// The content of `args.json`.
pub(crate) fn arguments(settings: &Settings, parts: &Parts<'_>) -> anyhow::Result<Map<String, Value>> {
    let mut arguments = object(&settings.arguments)?;
    let names: Vec<&str> = parts.plugins.iter().map(|plugin| plugin.name()).collect();
    arguments.insert("plugin".into(), json!(names));
    arguments.insert("plugin_arguments".into(), json!(parts.values));
    arguments.insert("grants".into(), parts.grants.to_json().into());
    arguments.insert("swift_host_version".into(), VERSION.into());
    Ok(arguments)
}

/// The content of `run.lock.json`. `models` are the digests of the models' files.
pub(crate) fn lock(
    settings: &Settings,
    parts: &Parts<'_>,
    models: BTreeMap<String, String>,
) -> anyhow::Result<RunLock> {
    let arguments = &settings.arguments;
    let told = [object(&arguments.data)?, object(&arguments.adapter)?, object(&arguments.training)?];
    let mut told: BTreeMap<String, Value> =
        told.into_iter().flatten().filter(|(key, _)| !NOT_LOCKED.contains(&key.as_str())).collect();
    if settings.rollouts.is_some() {
        told.extend(object(&arguments.rollout)?.into_iter().filter(|(key, _)| key != "log_completions"));
    }
    if settings.quantisation.is_some() {
        told.extend(object(&arguments.model.quantisation)?);
    }
    told.insert("torch_dtype".into(), json!(arguments.model.dtype));
    told.insert("num_labels".into(), json!(arguments.model.num_labels));
    let sets = [(Some(parts.dataset), false), (parts.validation, true)];
    let sources = sets.into_iter().flat_map(|(set, validation)| {
        let sources = set.into_iter().flat_map(|set| &set.report().sources);
        sources.map(move |source| LockedData {
            path: source.path.display().to_string(),
            digest: source.digest.clone(),
            rows: source.rows,
            validation,
        })
    });
    Ok(RunLock {
        versions: BTreeMap::from([("swift-host".to_owned(), VERSION.to_owned())]),
        plugins: parts.plugins.iter().map(|plugin| locked(plugin, parts)).collect(),
        models,
        data: sources.collect(),
        settings: told,
    })
}

fn locked(plugin: &Plugin, parts: &Parts<'_>) -> (String, LockedPlugin) {
    let locked = LockedPlugin {
        digest: plugin.digest().to_owned(),
        version: plugin.info().version.clone(),
        origin: plugin.origin().to_string(),
        arguments: parts.values.get(plugin.name()).cloned().unwrap_or_default(),
        grants: parts.grants.of(plugin).map(grants::object).unwrap_or_default(),
    };
    (plugin.name().to_owned(), locked)
}

fn object(value: &impl serde::Serialize) -> anyhow::Result<Map<String, Value>> {
    match serde_json::to_value(value)? {
        Value::Object(object) => Ok(object),
        other => anyhow::bail!("the arguments are no object but `{other}`"),
    }
}
