use std::path::PathBuf;
use std::time::Duration;

use crate::Digest;

/// The result of fetching or publishing.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong on the way to a registry or a web server and back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that is no reference.
    #[error("`{text}` is no reference to a plugin: {message}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it.
        message: String,
    },
    /// A file of a web server without the digest that it must have.
    #[error("`{url}` does not say which digest the file must have")]
    NotPinned {
        /// The address.
        url: String,
    },
    /// An address that is not encrypted and leaves this machine.
    #[error("`{url}` would be fetched without encryption")]
    NotEncrypted {
        /// The address.
        url: String,
    },
    /// The server could not be reached, or the connection broke.
    #[error("Failed to reach `{url}`: {message}")]
    Network {
        /// What was asked for.
        url: String,
        /// What the client says.
        message: String,
    },
    /// Nobody that is trusted vouches for the server.
    #[error("The certificate of `{url}` is not to be trusted: {message}")]
    Certificate {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// The authorities that the environment names can't be used.
    #[error("Failed to read the certificates that `{variable}` names: {message}")]
    Authorities {
        /// The environment variable.
        variable: &'static str,
        /// Why.
        message: String,
    },
    /// The server took too long.
    #[error("`{url}` was not done after {} seconds", .limit.as_secs_f64())]
    TooSlow {
        /// What was asked for.
        url: String,
        /// How long it may take.
        limit: Duration,
    },
    /// The server sends more than is taken.
    #[error("`{url}` is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// How large it may be.
        limit: u64,
    },
    /// The server sends the client from address to address.
    #[error("`{url}` redirects more than {limit} times")]
    TooManyRedirects {
        /// What was asked for.
        url: String,
        /// How often it may be.
        limit: usize,
    },
    /// The server refuses.
    #[error("`{url}` answers with the status {status}{}", because(.message))]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server says, if it does.
        message: String,
    },
    /// The server breaks the protocol.
    #[error("The answer of `{url}` makes no sense: {message}")]
    Protocol {
        /// What was asked for.
        url: String,
        /// What is wrong.
        message: String,
    },
    /// The artefact in the registry is no plugin.
    #[error("`{reference}` is no WebAssembly component: {message}")]
    NotComponent {
        /// The artefact.
        reference: String,
        /// What it is instead.
        message: String,
    },
    /// What came is not what was asked for.
    #[error("`{origin}` must have the digest `{expected}`, and has `{actual}`")]
    WrongDigest {
        /// Where it came from.
        origin: String,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// Credentials that are there and can't be used.
    #[error("The credentials for `{registry}` can't be used: {message}")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why, without any secret.
        message: String,
    },
    /// Credentials in the environment that are for no registry.
    #[error("`SWIFT_REGISTRY` does not say which registry `SWIFT_REGISTRY_USER` is for")]
    CredentialsOfNone {
        /// The registry that asks for some.
        registry: String,
    },
    /// A file could not be read.
    #[error("Failed to read `{}`: {cause}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
}

impl Error {
    /// What the user may try next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Reference { .. } => {
                "write `oci://HOST/REPOSITORY:TAG`, `oci://HOST/REPOSITORY@sha256:…` or `https://…#sha256=…`"
            }
            Self::CredentialsOfNone { registry } => {
                return Some(format!(
                    "set `SWIFT_REGISTRY={registry}` if it is for this one; no other registry gets it then"
                ));
            }
            Self::NotPinned { url } => {
                return Some(format!("write `{url}#sha256=…`, with the digest that its author gives"));
            }
            Self::NotEncrypted { .. } => "use `https://`; `http://` is for servers on this machine",
            Self::Network { .. } => "check the name and the connection; what is pinned and cached needs none",
            Self::Certificate { .. } => {
                "if its authority is your own, set `SSL_CERT_FILE` to the file of the authority's certificate, in PEM"
            }
            Self::Authorities { .. } => {
                "name a file of certificates in PEM, or unset it for those that the system trusts"
            }
            Self::TooSlow { .. } => "try again, or download the file by other means and name its path",
            Self::TooLarge { .. } => "if it is the right file, download it by other means and name its path",
            Self::Status { status: 401 | 403, .. } => {
                "log in with `docker login`, or set `SWIFT_REGISTRY` to its host, `SWIFT_REGISTRY_USER` and `SWIFT_REGISTRY_PASSWORD`"
            }
            Self::Status { status: 404, .. } => "check the name, the tag and the digest",
            Self::NotComponent { .. } => "`swift-host plugin publish` makes artefacts of the right form",
            Self::WrongDigest { .. } => {
                "it has changed since the digest was taken, or was tampered with; ask its author which digest is right"
            }
            Self::TooManyRedirects { .. }
            | Self::Status { .. }
            | Self::Protocol { .. }
            | Self::Credentials { .. }
            | Self::Read { .. } => return None,
        };
        Some(hint.into())
    }
}

fn because(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
