use std::fmt;

use wasmtime::component::Component;

use crate::contract;

/// What a plugin can be. One plugin may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A training objective.
    Loss,
    /// The definition of a model.
    Model,
    /// Watches a run and steers it.
    Callback,
    /// Turns rows of a user's files into samples.
    Dataset,
}

impl Kind {
    /// All kinds there are.
    pub const ALL: [Self; 4] = [Self::Loss, Self::Model, Self::Callback, Self::Dataset];

    /// Its short name, which is that of the interface that makes a plugin one of this kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Model => "model",
            Self::Callback => "callback",
            Self::Dataset => "dataset",
        }
    }

    /// The kinds that a component is of, by what it exports.
    pub(crate) fn of(component: &Component) -> Vec<Self> {
        let exports = |kind: &Self| component.get_export_index(None, contract::name(kind.name())).is_some();
        Self::ALL.into_iter().filter(exports).collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Model => "model",
            Self::Callback => "callback",
            Self::Dataset => "dataset adapter",
        })
    }
}
