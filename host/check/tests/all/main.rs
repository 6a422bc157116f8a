//! Checks of the standard plugins, and of plugins that were made to be found wrong.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may stop at the first surprise; helpers outside of test functions are not recognised"
)]

#[allow(dead_code, reason = "the runtime's tests use more of it")]
#[path = "../../../runtime/tests/all/support/guest.rs"]
mod guest;
mod standard;
mod wrong;

use std::sync::OnceLock;

use swift_check::{Finding, Options, Outcome, Report, check};
use swift_runtime::{Engine, EngineOptions, Plugin, Registry};
use swift_standard_plugins::STANDARD;

/// The standard plugins and files.
fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let cache_directory = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/plugins").into());
        Registry::new(
            Engine::new(EngineOptions { cache_directory, ..EngineOptions::default() }).unwrap(),
            STANDARD,
        )
    })
}

fn plugin(name: &str) -> Plugin {
    registry().resolve(name).unwrap()
}

/// The report of a standard plugin with these hyper-parameters, as JSON.
fn checked(name: &str, arguments: serde_json::Value) -> Report {
    let options = Options { arguments: arguments.as_object().cloned().unwrap(), ..Options::default() };
    check(&plugin(name), &options)
}

/// The findings of an outcome, in words.
fn texts(report: &Report, outcome: Outcome) -> Vec<&str> {
    let findings = report.findings.iter().filter(|finding| finding.outcome == outcome);
    findings.map(|finding| finding.text.as_str()).collect()
}

/// The only finding of an outcome.
fn only(report: &Report, outcome: Outcome) -> &Finding {
    let findings: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.outcome == outcome).collect();
    let [finding] = findings.as_slice() else { panic!("{report}") };
    finding
}
