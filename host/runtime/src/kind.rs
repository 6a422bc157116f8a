use std::fmt;

use wasmparser::{Parser, Payload};
use wasmtime::component::Component;

use crate::contract;

/// What a plugin can be. One plugin may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A training objective.
    Loss,
    /// The definition of a model.
    Model,
    /// Watches a run and steers it.
    Callback,
    /// Turns rows of a user's files into samples.
    Dataset,
    /// Measures a model on a validation set.
    Metric,
    /// How the learning rate changes.
    Schedule,
    /// How parameters follow their gradients.
    Optimizer,
    /// Judges answers.
    Reward,
    /// How conversations become text.
    Template,
    /// Which words of an answer weigh how much.
    LossScale,
    /// Changes how probable each next token of an answer is.
    Sampler,
    /// Finds calls of tools in answers.
    ToolParser,
}

/// The kinds with the name of the interface that makes a plugin one of them, and their names in sentences.
const TABLE: [(Kind, &str, &str); 12] = [
    (Kind::Loss, "loss", "loss"),
    (Kind::Model, "model", "model"),
    (Kind::Callback, "callback", "callback"),
    (Kind::Dataset, "dataset", "dataset adapter"),
    (Kind::Metric, "metric", "metric"),
    (Kind::Schedule, "schedule", "learning-rate schedule"),
    (Kind::Optimizer, "optimizer", "optimiser"),
    (Kind::Reward, "reward", "reward"),
    (Kind::Template, "template", "set of chat templates"),
    (Kind::LossScale, "loss-scale", "rule for loss weights"),
    (Kind::Sampler, "sampler", "sampler"),
    (Kind::ToolParser, "tool-parser", "parser of tool calls"),
];

impl Kind {
    /// All kinds there are.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|(kind, ..)| kind)
    }

    /// Its short name, which is that of the interface that makes a plugin one of this kind.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// The kind with this short name.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.into_iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| kind)
    }

    /// The kinds that a component is of, by what it exports.
    pub(crate) fn of(component: &Component) -> Vec<Self> {
        let exports = |kind: &Self| component.get_export_index(None, contract::name(kind.name())).is_some();
        Self::all().filter(exports).collect()
    }

    /// The kinds that a component in bytes is of, without compiling it. None of what is no component.
    pub(crate) fn scan(wasm: &[u8]) -> Vec<Self> {
        let mut depth = 0;
        let mut kinds = Vec::new();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload {
                Ok(Payload::Version { .. }) => depth += 1,
                Ok(Payload::End(_)) => depth -= 1,
                // Components inside of it export things for its own use.
                Ok(Payload::ComponentExportSection(section)) if depth == 1 => {
                    let names = section.into_iter().flatten().map(|export| export.name.name.to_owned());
                    kinds.extend(
                        names.filter_map(|name| Self::all().find(|kind| contract::name(kind.name()) == name)),
                    );
                }
                Ok(_) => {}
                Err(_) => return Vec::new(),
            }
        }
        kinds
    }

    fn entry(self) -> (Self, &'static str, &'static str) {
        // The table has every kind, in the order of the enum.
        TABLE.get(self as usize).copied().unwrap_or((self, "", ""))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_at_its_place_in_the_table() {
        for (place, kind) in Kind::all().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
    }
}
