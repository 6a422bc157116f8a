//! How a component lies in a registry: the Wasm OCI artefact layout of the CNCF.
//!
//! A manifest names two blobs: the component itself, and a small description of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::component::Interfaces;
use crate::{Artifact, Digest, Error, Result};

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const COMPONENT_TYPE: &str = "application/wasm";

/// What registries promise to take.
pub(crate) const MANIFEST_LIMIT: u64 = 4 << 20;

/// The manifest. Registries and other tools may add fields.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// A blob that a manifest names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// The description of a component.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: Timestamp,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [String; 1],
    component: &'a Interfaces,
}

/// A description and a manifest, as they are uploaded.
pub(crate) struct Package {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Package {
    /// What a component needs besides itself.
    ///
    /// # Errors
    /// If `component` is none.
    pub(crate) fn new(
        component: &[u8],
        created: Timestamp,
        annotations: BTreeMap<String, String>,
    ) -> Result<Self> {
        let interfaces = &Interfaces::of(component)?;
        let layer = Descriptor::of(COMPONENT_TYPE, component);
        let layer_digests = [layer.digest.clone()];
        let config = json(&Config {
            created,
            architecture: "wasm",
            os: "wasip2",
            layer_digests,
            component: interfaces,
        });
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            config: Descriptor::of(CONFIG_TYPE, &config),
            layers: vec![layer],
            annotations,
        });
        Ok(Self { config, manifest })
    }
}

impl Manifest {
    /// The digest and the size of the component that a manifest names.
    ///
    /// # Errors
    /// [`Error::NotComponent`] if it names something else.
    pub(crate) fn component(bytes: &[u8], artifact: &Artifact) -> Result<(Digest, u64)> {
        let wrong = |message: String| Error::NotComponent { reference: artifact.to_string(), message };
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("its manifest is not that of an artefact: {error}")))?;
        let [layer] = manifest.layers.as_slice() else {
            return Err(wrong(format!("it has {} layers and not one", manifest.layers.len())));
        };
        if layer.media_type != COMPONENT_TYPE {
            return Err(wrong(format!("its layer is `{}` and not `{COMPONENT_TYPE}`", layer.media_type)));
        }
        let digest = layer.digest.parse().map_err(|error| wrong(format!("`{}`: {error}", layer.digest)))?;
        Ok((digest, layer.size))
    }
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        let (media_type, digest) = (media_type.to_owned(), Digest::of(bytes).to_string());
        Self { media_type, digest, size: bytes.len() as u64 }
    }
}

/// These have no maps with keys that are no text, the one thing that JSON can't hold.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn artifact() -> Artifact {
        match "oci://ghcr.io/a".parse().unwrap() {
            crate::Reference::Artifact(artifact) => artifact,
            crate::Reference::File(_) => panic!("a file"),
        }
    }

    fn component(manifest: &Value) -> Result<(Digest, u64)> {
        Manifest::component(manifest.to_string().as_bytes(), &artifact())
    }

    #[test]
    fn what_is_packed_is_found_again() {
        let wasm = wat::parse_str("(component)").unwrap();
        let package = Package::new(&wasm, Timestamp::UNIX_EPOCH, BTreeMap::new()).unwrap();
        let found = Manifest::component(&package.manifest, &artifact()).unwrap();
        assert_eq!(found, (Digest::of(&wasm), wasm.len() as u64));
    }

    #[test]
    fn the_same_component_gives_the_same_package() {
        let wasm = wat::parse_str("(component)").unwrap();
        let pack = || Package::new(&wasm, Timestamp::UNIX_EPOCH, BTreeMap::new()).unwrap().manifest;
        assert_eq!(pack(), pack());
    }

    #[test]
    fn other_artifacts_are_refused() {
        let layer =
            |kind: &str| json!({ "mediaType": kind, "digest": format!("sha256:{:064}", 0), "size": 1 });
        let manifest = |layers: Value| json!({ "schemaVersion": 2, "config": layer("x"), "layers": layers });
        let refused = |manifest: &Value| component(manifest).unwrap_err().to_string();
        component(&manifest(json!([layer(COMPONENT_TYPE)]))).unwrap();
        assert!(refused(&manifest(json!([]))).ends_with("it has 0 layers and not one"));
        assert!(refused(&manifest(json!([layer("text/plain")]))).contains("its layer is `text/plain`"));
        assert!(refused(&json!({ "manifests": [] })).contains("its manifest is not that of an artefact"));
        let mut other = layer(COMPONENT_TYPE);
        other["digest"] = "sha512:00".into();
        assert!(refused(&manifest(json!([other]))).contains("`sha512:00`"));
    }
}
