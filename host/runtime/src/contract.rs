//! Names and versions of the contract.

/// The package that this host speaks.
pub(crate) const PACKAGE: &str = "swift:plugin@0.1.0";
const NAME: &str = "swift:plugin/";
const VERSION: &str = "0.1.0";
/// Versions that start so differ in added functions only.
const TRACK: &str = "0.1.";

/// An interface of the contract in full: `loss` is `swift:plugin/loss@0.1.0`.
pub(crate) fn name(interface: &str) -> String {
    format!("{NAME}{interface}@{VERSION}")
}

/// Whether a name belongs to the contract, of whatever version.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(NAME)
}

/// Whether a name belongs to the contract in a version that cannot work here.
pub(crate) fn is_foreign(name: &str) -> bool {
    is_ours(name) && name.rsplit_once('@').is_none_or(|(_, version)| !version.starts_with(TRACK))
}

/// Whether what a component wants is of a version before this one. What has no version is not.
pub(crate) fn is_older(wanted: &str) -> bool {
    let numbers = |version: &str| -> Option<Vec<u32>> {
        version.split('.').map(|number| number.parse().ok()).collect()
    };
    let wanted = wanted.rsplit_once('@').and_then(|(_, version)| numbers(version.trim_end_matches('`')));
    wanted.is_some_and(|wanted| numbers(VERSION).is_some_and(|own| wanted < own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_patch_versions_are_alike() {
        assert_eq!(name("loss"), "swift:plugin/loss@0.1.0");
        assert!(!is_foreign("swift:plugin/loss@0.1.0"));
        assert!(!is_foreign("swift:plugin/loss@0.1.7"));
        assert!(is_foreign("swift:plugin/loss@0.2.0"));
        assert!(is_foreign("swift:plugin/loss@0.10.0"));
        assert!(is_foreign("swift:plugin/loss"));
        assert!(!is_foreign("wasi:cli/stderr@0.2.12"));
    }

    #[test]
    fn versions_before_this_one_are_older() {
        for (wanted, expected) in [
            ("`swift:plugin/loss@0.0.9`", true),
            ("`swift:plugin/loss@0.0.10`", true),
            ("`swift:plugin/loss@0.1.0`", false),
            ("`[method]tensor.new` of `swift:plugin/tensor@0.1.7`", false),
            ("`swift:plugin/loss@0.2.0`", false),
            ("`swift:plugin/loss@0.10.0`", false),
            ("`swift:plugin/loss@1.0.0`", false),
            ("`swift:plugin/loss`", false),
            ("`swift:plugin/loss@next`", false),
        ] {
            assert_eq!(is_older(wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn the_version_is_that_of_the_interface_files() {
        let loss = include_str!("../../../wit/loss.wit");
        assert_eq!(loss.lines().next().unwrap(), format!("package {PACKAGE};"));
        assert!(PACKAGE.ends_with(VERSION) && VERSION.starts_with(TRACK));
    }
}
