//! Who may vouch for a server.

use std::env;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use ureq::tls::{Certificate, RootCerts};

use crate::{Error, Result};

/// Files and folders of certificates, as OpenSSL, curl and others read them.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The authorities that the environment names instead of the system's, or else those of the system: a company's registry often
/// has a certificate that only the system knows.
///
/// # Errors
/// If what the environment names can't be read, or has no certificate.
pub(crate) fn authorities() -> Result<RootCerts> {
    let Some(variable) = VARIABLES.into_iter().find(|variable| env::var_os(variable).is_some()) else {
        return Ok(RootCerts::PlatformVerifier);
    };
    let wrong = |message: String| Error::Authorities { variable, message };
    let loaded = load_native_certs();
    if let Some(error) = loaded.errors.first() {
        return Err(wrong(error.to_string()));
    }
    if loaded.certs.is_empty() {
        return Err(wrong("there is none in it".to_owned()));
    }
    let certificates = loaded.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    Ok(RootCerts::Specific(Arc::new(certificates.collect())))
}
