//! What a registry wants before it answers.

use std::collections::BTreeMap;

/// The header `WWW-Authenticate`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A user and a password.
    Basic,
    /// A token, which another address gives.
    Bearer {
        /// That address.
        realm: String,
        /// For whom the token is.
        service: Option<String>,
    },
}

impl Challenge {
    /// Understands a header; none if it asks for something else.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let mut parameters = parameters(rest);
        let realm = parameters.remove("realm")?;
        let service = parameters.remove("service");
        scheme.eq_ignore_ascii_case("bearer").then_some(Self::Bearer { realm, service })
    }
}

/// Understands `key="value",key=value`.
fn parameters(mut text: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    while let Some((key, rest)) = text.split_once('=') {
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        parameters.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        text = rest.trim_start_matches([',', ' ']);
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_at_the_realm() {
        let header = "Bearer realm=\"https://auth.example.org/token?a=b\",service=\"reg, istry\",scope=\"x:y:pull,push\"";
        let realm = "https://auth.example.org/token?a=b".to_owned();
        assert_eq!(
            Challenge::parse(header),
            Some(Challenge::Bearer { realm, service: Some("reg, istry".into()) })
        );
        let bare = Challenge::Bearer { realm: "https://a".into(), service: None };
        assert_eq!(Challenge::parse("bearer realm=https://a"), Some(bare));
    }

    #[test]
    fn a_password_is_asked_for_by_basic() {
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Basic"), Some(Challenge::Basic));
    }

    #[test]
    fn other_challenges_are_not_understood() {
        for header in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Digest realm=\"x\""] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
    }
}
