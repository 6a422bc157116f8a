//! `swift-host plugin publish`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use swift_fetch::Reference;
use swift_runtime::Origin;

use crate::plugins::Plugins;
use crate::report::UsageError;

/// The time that counts as that of every build, in seconds, where builds shall be the same whenever they are made.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Uploads a plugin, and gives the reference that names it forever. What is no plugin is refused before.
pub(crate) fn publish(plugins: &Plugins, file: &Path, reference: &str) -> anyhow::Result<Reference> {
    let Reference::Artifact(artifact) = reference.parse()? else {
        return Err(UsageError::new(format!("`{reference}` is no place in a registry"))
            .hint("write `oci://HOST/REPOSITORY:TAG`")
            .into());
    };
    let label = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("Failed to read the plugin `{label}`"))?;
    let plugin = plugins.registry().load(&bytes, &label, Origin::File(file.to_owned()))?;
    let info = plugin.info();
    let annotations = [("title", &info.name), ("version", &info.version), ("description", &info.summary)];
    let annotations: BTreeMap<String, String> = annotations
        .into_iter()
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.clone()))
        .collect();
    Ok(plugins.fetcher().publish(&bytes, &artifact, created()?, annotations)?)
}

fn created() -> anyhow::Result<Timestamp> {
    let Ok(seconds) = std::env::var(EPOCH) else { return Ok(Timestamp::now()) };
    let parsed = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    parsed.with_context(|| format!("`{EPOCH}` is `{seconds}`, which is no number of seconds since 1970"))
}
