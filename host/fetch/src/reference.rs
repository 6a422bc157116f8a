//! References: how a user names a plugin that is somewhere else.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::address::is_loopback;
use crate::digest::{ALGORITHM, Digest};
use crate::{Error, Result};

/// The tag of an artefact that is named without one.
const DEFAULT_TAG: &str = "latest";

/// The longest tag that registries take.
const TAG_LENGTH: usize = 128;

/// Where a plugin is, and which one it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:…]`.
    Artifact(Artifact),
    /// `https://…#sha256=…`.
    File(RemoteFile),
}

/// An artefact in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A file of a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    pub(crate) url: Url,
    pub(crate) digest: Digest,
}

impl Reference {
    /// Whether a text is meant as a reference, and not as a name or a path.
    pub fn is_meant(text: &str) -> bool {
        ["oci://", "https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// Whether it says which digest is wanted, so that it means the same forever.
    pub fn is_pinned(&self) -> bool {
        match self {
            Self::Artifact(artifact) => artifact.digest.is_some(),
            Self::File(_) => true,
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |message: &str| Error::Reference { text: text.to_owned(), message: message.to_owned() };
        if let Some(rest) = text.strip_prefix("oci://") {
            return Artifact::parse(rest).map(Self::Artifact).map_err(wrong);
        }
        let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if !["https", "http"].contains(&url.scheme()) {
            return Err(wrong("it begins with neither `oci://` nor `https://`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it must not hold credentials"));
        }
        let digest = url.fragment().map(str::to_owned);
        url.set_fragment(None);
        let Some(digest) = digest else { return Err(Error::NotPinned { url: url.into() }) };
        let digits = digest.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix('='));
        let digest = digits
            .and_then(Digest::from_hexadecimal)
            .ok_or_else(|| wrong("after `#` must come `sha256=` and 64 hexadecimal digits"))?;
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(Error::NotEncrypted { url: url.into() });
        }
        Ok(Self::File(RemoteFile { url, digest }))
    }
}

impl Artifact {
    fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (
                name,
                Some(digest.parse().map_err(|_| "its digest is not `sha256:` and 64 hexadecimal digits")?),
            ),
            None => (text, None),
        };
        let (registry, path) = name.split_once('/').ok_or("it names no repository")?;
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        // Nothing that an address could take for more than a host and a port.
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if !registry.bytes().all(inside) || Url::parse(&format!("https://{registry}/")).is_err() {
            return Err("its host is none");
        }
        if !repository.split('/').all(is_component) {
            return Err(
                "the parts of a repository are lower-case letters and digits, with `.`, `_` and `-` inside",
            );
        }
        if !tag.as_deref().is_none_or(is_tag) {
            return Err("a tag is up to 128 letters, digits, `.`, `_` and `-`");
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest })
    }

    /// `HOST[:PORT]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` if none is given.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// The digest of its manifest, if given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same artefact, and no other even when the tag moves on.
    pub(crate) fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

fn is_component(part: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| inside(byte) && !b"._-".contains(&byte));
    part.bytes().all(inside) && edge(part.bytes().next()) && edge(part.bytes().last())
}

fn is_tag(tag: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=TAG_LENGTH).contains(&tag.len()) && tag.bytes().all(inside) && !tag.starts_with(['.', '-'])
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Artifact(artifact) => artifact.fmt(f),
            Self::File(file) => write!(f, "{}#{ALGORITHM}={}", file.url, file.digest.hexadecimal()),
        }
    }
}

#[cfg(test)]
mod tests;
