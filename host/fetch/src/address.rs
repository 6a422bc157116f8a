//! Which addresses may be asked.

use url::{Host, Url};

use crate::{Error, Result};

/// Whether an address is on this machine, so that nobody else can listen.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Refuses what anybody on the way could read or change.
///
/// # Errors
/// [`Error::NotEncrypted`].
pub(crate) fn require_safe(url: &Url) -> Result<()> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        _ => Err(Error::NotEncrypted { url: url.to_string() }),
    }
}

/// The address of a registry: `https`, or `http` on this machine.
///
/// # Errors
/// If it is none.
pub(crate) fn of_registry(registry: &str) -> Result<Url> {
    let wrong =
        |error: url::ParseError| Error::Reference { text: registry.to_owned(), message: error.to_string() };
    let url = Url::parse(&format!("https://{registry}/v2/")).map_err(wrong)?;
    if is_loopback(&url) { Url::parse(&format!("http://{registry}/v2/")).map_err(wrong) } else { Ok(url) }
}
