//! Checks a plugin on seeded data, so that its author finds mistakes before a run does.
//!
//! [`check`] puts a plugin to work as each of its kinds and gives a [`Report`]: what is as it should be, what its author
//! should know, and what is wrong. What is looked at depends on the kind. A loss is computed for a single row and for
//! several rows of different lengths; its gradient is compared with finite differences, its result with that of a second
//! instance, with that in `float32`, and with a [`Golden`] value if there is one.
//!
//! All data comes from fixed seeds, so the findings are the same on every machine but for the times in them.

mod bench;
mod callback;
mod dataset;
mod golden;
mod loss;
mod loss_scale;
mod metric;
mod model;
mod optimizer;
mod recorder;
mod report;
mod reward;
mod sampler;
mod schedule;
mod seeded;
mod template;
mod tool_parser;

use serde_json::{Map, Value};
use swift_runtime::{Kind, Limits, Plugin, Result};

use crate::bench::Bench;

pub use golden::{Golden, GoldenError};
pub use report::{Finding, Outcome, Report};

/// How to check a plugin.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Hyper-parameters; the others keep their defaults. Kinds that take none don't get them.
    pub arguments: Map<String, Value>,
    /// What the plugin may take.
    pub limits: Limits,
    /// What an earlier check measured.
    pub golden: Option<Golden>,
    /// The `config.json` of a model, which a model definition is put to work with.
    pub config: Option<String>,
}

/// What is done with a plugin of some kind. An error is one of its findings.
type Check = fn(&mut Bench) -> Result<()>;

/// Every kind of plugin.
const CHECKS: [(Kind, Check); 12] = [
    (Kind::Loss, loss::check),
    (Kind::Model, model::check),
    (Kind::Callback, callback::check),
    (Kind::Dataset, dataset::check),
    (Kind::Metric, metric::check),
    (Kind::Schedule, schedule::check),
    (Kind::Optimizer, optimizer::check),
    (Kind::Reward, reward::check),
    (Kind::Template, template::check),
    (Kind::LossScale, loss_scale::check),
    (Kind::Sampler, sampler::check),
    (Kind::ToolParser, tool_parser::check),
];

/// Checks a plugin as each of its kinds.
pub fn check(plugin: &Plugin, options: &Options) -> Report {
    let mut report = Report::default();
    for (kind, check) in CHECKS.into_iter().filter(|(kind, _)| plugin.kinds().contains(kind)) {
        let mut bench = Bench::new(plugin, options, kind, &mut report);
        if let Err(error) = check(&mut bench) {
            bench.failed(error.to_string(), error.hint());
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_check() {
        let kinds: Vec<Kind> = CHECKS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, Kind::all().collect::<Vec<_>>());
    }
}
