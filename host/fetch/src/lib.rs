//! Plugins from elsewhere: fetched once, verified, kept; and published.
//!
//! A [`Reference`] names a component in an OCI registry or on a web server. A [`Fetcher`] gets it and believes nobody: what
//! comes must have the digest that the reference names, whether it comes from the network or from the folder of what was
//! fetched before. A tag may move, so fetching one says which digest it stood for.
//!
//! Only addresses of this machine are asked without encryption, and each download has a limit on its size, its time and
//! its redirects. Credentials are sent after a registry has asked for them, and to nobody else.

mod address;
mod authorities;
mod cache;
mod challenge;
mod component;
mod credentials;
mod digest;
mod error;
mod fetcher;
mod http;
mod manifest;
mod reference;
mod registry;

pub use digest::{Digest, NoDigest};
pub use error::{Error, Result};
pub use fetcher::{Fetched, Fetcher, Limits};
pub use reference::{Artifact, Reference, RemoteFile};
