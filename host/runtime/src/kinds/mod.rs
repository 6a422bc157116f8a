//! The kinds of plugin, told apart by the interface they export.

pub(crate) mod callback;
pub(crate) mod dataset;
pub(crate) mod loss;
pub(crate) mod model;

/// The package of the contract, as interface names begin.
pub(crate) const PACKAGE: &str = "swift:plugin/";
/// The version of the contract that this host speaks.
pub(crate) const CONTRACT_VERSION: &str = "0.1.0";

/// What a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A training objective.
    Loss,
    /// A model definition.
    Model,
    /// Watches and steers a run.
    Callback,
    /// Turns rows into samples.
    Dataset,
}

const KINDS: [Kind; 4] = [Kind::Loss, Kind::Model, Kind::Callback, Kind::Dataset];

impl Kind {
    /// The name of its interface, and how messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Model => "model",
            Self::Callback => "callback",
            Self::Dataset => "dataset",
        }
    }
}

/// The kinds whose interfaces are among `exports`.
pub(crate) fn detect(exports: &[String]) -> Vec<Kind> {
    let exported = |kind: &Kind| {
        exports
            .iter()
            .filter_map(|name| name.strip_prefix(PACKAGE))
            .any(|name| name.split('@').next() == Some(kind.name()))
    };
    KINDS.into_iter().filter(exported).collect()
}

/// The interfaces that a plugin may export, for messages.
pub(crate) fn expected() -> String {
    KINDS.map(|kind| format!("`{PACKAGE}{}@{CONTRACT_VERSION}`", kind.name())).join(", ")
}
