use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::Method;

use crate::cache::Cache;
use crate::http::{Http, Request};
use crate::manifest::{Manifest, Package};
use crate::registry::{Access, Repository};
use crate::{Artifact, Digest, Error, Reference, Result};

/// What one download may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a plugin. The largest that are known are interpreters of other languages, with about 20 MiB.
    pub bytes: u64,
    /// How long one request may take, from its beginning to the last byte.
    pub time: Duration,
    /// How many redirects are followed.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 128 << 20, time: Duration::from_secs(120), redirects: 5 }
    }
}

/// A component from somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The component.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    /// Where it came from, pinned: a tag is joined by the digest that it stands for.
    pub source: Reference,
}

/// Gets components from registries and web servers, and puts them into registries. What was downloaded once is kept, and
/// is found again by its digest without the network.
#[derive(Clone, Debug)]
pub struct Fetcher {
    http: Http,
    cache: Option<Cache>,
    limits: Limits,
}

impl Fetcher {
    /// A fetcher that keeps files in a folder, or keeps none.
    pub fn new(cache_directory: Option<PathBuf>, limits: Limits) -> Self {
        let cache = cache_directory.map(|directory| Cache::new(&directory));
        Self { http: Http::new(limits), cache, limits }
    }

    /// The component that a reference names, with the digest that it names or, for a tag alone, has now.
    ///
    /// # Errors
    /// If it can't be had within the limits, or has another digest.
    pub fn fetch(&self, reference: &Reference) -> Result<Fetched> {
        let (bytes, digest, source) = match reference {
            Reference::Artifact(artifact) => {
                let repository = Repository::new(&self.http, artifact, Access::Pull)?;
                let (manifest, pinned) = self.manifest(&repository, artifact)?;
                let (digest, size) = Manifest::component(&manifest, &pinned)?;
                let source = pinned.to_string();
                if size > self.limits.bytes {
                    return Err(Error::TooLarge { url: source, limit: self.limits.bytes });
                }
                (
                    self.once(&digest, &source, || repository.blob(&digest, size))?,
                    digest,
                    Reference::Artifact(pinned),
                )
            }
            Reference::File(file) => {
                let request = Request::new(Method::GET, file.url.clone(), self.limits.bytes);
                let download = || Ok(self.http.send(request)?.success()?.body);
                (self.once(&file.digest, file.url.as_str(), download)?, file.digest, reference.clone())
            }
        };
        Ok(Fetched { bytes, digest, source })
    }

    /// Uploads a component, and gives the reference that names it forever. `annotations` are for people to read; the time
    /// of creation is part of what the digest is taken of.
    ///
    /// # Errors
    /// If it is no component, the reference has a digest, or the registry does not take it.
    pub fn publish(
        &self,
        component: &[u8],
        artifact: &Artifact,
        created: Timestamp,
        annotations: BTreeMap<String, String>,
    ) -> Result<Reference> {
        if artifact.digest().is_some() {
            let message = "which digest it has is known after publishing; name a tag".to_owned();
            return Err(Error::Reference { text: artifact.to_string(), message });
        }
        let package = Package::new(component, created, annotations)?;
        let repository = Repository::new(&self.http, artifact, Access::Push)?;
        for blob in [component, &package.config] {
            repository.push_blob(&Digest::of(blob), blob)?;
        }
        // Last, so that a registry never has a manifest without its blobs.
        repository.push_manifest(artifact.tag(), &package.manifest)?;
        Ok(Reference::Artifact(artifact.pinned(Digest::of(&package.manifest))))
    }

    /// The manifest of an artefact, and the artefact pinned to it.
    fn manifest(&self, repository: &Repository<'_>, artifact: &Artifact) -> Result<(Vec<u8>, Artifact)> {
        if let Some(digest) = artifact.digest() {
            let download = || repository.manifest(&digest.to_string());
            return Ok((self.once(&digest, &artifact.to_string(), download)?, artifact.clone()));
        }
        let bytes = repository.manifest(artifact.tag())?;
        let digest = Digest::of(&bytes);
        self.keep(&digest, &bytes);
        Ok((bytes, artifact.pinned(digest)))
    }

    /// The file with a digest: the one that is kept, or else the download if it has the digest.
    fn once(
        &self,
        digest: &Digest,
        source: &str,
        download: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        if let Some(bytes) = self.cache.as_ref().map(|cache| cache.read(digest)).transpose()?.flatten() {
            return Ok(bytes);
        }
        tracing::debug!("downloading `{digest}` of `{source}`");
        let bytes = download()?;
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(Error::WrongDigest { origin: source.to_owned(), expected: *digest, actual });
        }
        self.keep(digest, &bytes);
        Ok(bytes)
    }

    fn keep(&self, digest: &Digest, bytes: &[u8]) {
        if let Some(cache) = &self.cache {
            cache.write(digest, bytes);
        }
    }
}
