//! Who the user is to a registry.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};

use crate::{Error, Result};

/// Where credentials may be given without docker's configuration, and the one registry that gets them.
const REGISTRY: &str = "SWIFT_REGISTRY";
const USER: &str = "SWIFT_REGISTRY_USER";
const PASSWORD: &str = "SWIFT_REGISTRY_PASSWORD";

/// What docker's helpers print if they know nothing of a registry.
const UNKNOWN: &str = "credentials not found";

/// A user and a password. They are shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Those for a registry, `HOST[:PORT]`: of the environment, or else of docker's configuration.
    ///
    /// # Errors
    /// If the environment has some without their registry or in part, or docker's configuration some that can't be used.
    pub(crate) fn find(registry: &str) -> Result<Option<Self>> {
        if let Some(given) = Self::given(registry, |name| env::var(name).ok())? {
            return Ok(Some(given));
        }
        let Some(path) = docker_configuration() else { return Ok(None) };
        match File::open(&path) {
            Ok(file) => {
                Self::understand(registry, get_credential_from_reader(BufReader::new(file), registry))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::Read { path, cause }),
        }
    }

    /// Those that variables give for a registry. What is meant for one is not shown to another.
    fn given(registry: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let (user, password) = (variable(USER), variable(PASSWORD));
        if user.is_none() && password.is_none() {
            return Ok(None);
        }
        let Some(meant) = variable(REGISTRY) else {
            return Err(Error::CredentialsOfNone { registry: registry.to_owned() });
        };
        if !meant.eq_ignore_ascii_case(registry) {
            return Ok(None);
        }
        match (user, password) {
            (Some(user), Some(password)) => Ok(Some(Self { user, password })),
            (user, _) => {
                let missing = if user.is_none() { USER } else { PASSWORD };
                let message = format!("`{missing}` is not set");
                Err(Error::Credentials { registry: registry.to_owned(), message })
            }
        }
    }

    fn understand(
        registry: &str,
        found: std::result::Result<DockerCredential, CredentialRetrievalError>,
    ) -> Result<Option<Self>> {
        let message = match found {
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                return Ok(Some(Self { user, password }));
            }
            Err(CredentialRetrievalError::NoCredentialConfigured) => return Ok(None),
            // A helper for all registries is also asked for those that the user never logged in to.
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains(UNKNOWN) => {
                return Ok(None);
            }
            Ok(DockerCredential::IdentityToken(_)) => {
                "docker keeps an identity token for it, and a password is needed".to_owned()
            }
            // What else the helper printed may hold secrets.
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                format!("docker's `{helper}` failed")
            }
            Err(other) => other.to_string(),
        };
        Err(Error::Credentials { registry: registry.to_owned(), message })
    }

    /// The header `Authorization` of the scheme `Basic`.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// The file that `docker login` writes.
fn docker_configuration() -> Option<PathBuf> {
    let folder = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".docker")));
    Some(folder?.join("config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_a_helper_does_not_know_gets_no_credentials() {
        let failure = |stdout: &str| {
            let (helper, stdout, stderr) = ("docker-credential-x".into(), stdout.into(), "s3cret".into());
            Credentials::understand(
                "ghcr.io",
                Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }),
            )
        };
        assert_eq!(failure("credentials not found in native keychain\n").unwrap(), None);
        let error = failure("s3cret").unwrap_err().to_string();
        assert_eq!(
            error,
            "The credentials for `ghcr.io` can't be used: docker's `docker-credential-x` failed"
        );
    }

    #[test]
    fn credentials_of_the_environment_are_for_one_registry() {
        let given = |registry: &str, variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
            Credentials::given(registry, |name| value(name).map(|(_, value)| (*value).to_owned()))
        };
        let all = [(REGISTRY, "ghcr.io"), (USER, "u"), (PASSWORD, "p")];
        let credentials = Credentials { user: "u".into(), password: "p".into() };
        assert_eq!(given("ghcr.io", &all).unwrap(), Some(credentials.clone()));
        assert_eq!(given("GHCR.io", &all).unwrap(), Some(credentials));
        for other in ["ghcr.io:443", "ghcr.io.example.org", "example.org"] {
            assert_eq!(given(other, &all).unwrap(), None);
        }
        assert_eq!(given("ghcr.io", &all[..1]).unwrap(), None);
        let error = given("ghcr.io", &all[..2]).unwrap_err().to_string();
        assert_eq!(
            error,
            "The credentials for `ghcr.io` can't be used: `SWIFT_REGISTRY_PASSWORD` is not set"
        );
        let error = given("ghcr.io", &all[1..]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`SWIFT_REGISTRY` does not say which registry `SWIFT_REGISTRY_USER` is for"
        );
        assert_eq!(
            error.hint().unwrap(),
            "set `SWIFT_REGISTRY=ghcr.io` if it is for this one; no other registry gets it then"
        );
    }

    #[test]
    fn a_password_is_sent_and_not_shown() {
        let credentials = Credentials { user: "Aladdin".into(), password: "open sesame".into() };
        assert_eq!(credentials.basic(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(format!("{credentials:?}"), "Credentials(…)");
    }
}
