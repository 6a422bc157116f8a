use std::fmt;

use serde::Serialize;
use swift_runtime::Kind;

use crate::Golden;

/// What came of a check.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
    /// The numbers of this check, for a golden file.
    pub measured: Golden,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Short name of what the plugin was at the time.
    pub kind: &'static str,
    /// How it is.
    pub outcome: Outcome,
    /// One sentence.
    pub text: String,
    /// What to do about it, or to think of.
    pub hint: Option<String>,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Something that the plugin's author should know, and may want so.
    Noted,
    /// Wrong.
    Failed,
}

impl Report {
    /// Number of findings of an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == outcome).count()
    }

    pub(crate) fn push(&mut self, kind: Kind, outcome: Outcome, text: String, hint: Option<String>) {
        self.findings.push(Finding { kind: kind.name(), outcome, text, hint });
    }
}

/// A line for each finding with its hint below, and a last one with their numbers.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.findings.iter().map(|finding| finding.kind.len()).max().unwrap_or_default();
        for Finding { kind, outcome, text, hint } in &self.findings {
            writeln!(f, "{outcome}  {kind:kinds$}  {text}")?;
            if let Some(hint) = hint {
                writeln!(f, "{:6}  {:kinds$}  hint: {hint}", "", "")?;
            }
        }
        let [passed, noted, failed] =
            [Outcome::Passed, Outcome::Noted, Outcome::Failed].map(|outcome| self.count(outcome));
        writeln!(f, "{passed} passed, {noted} noted, {failed} failed")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Noted => "noted ",
            Self::Failed => "failed",
        })
    }
}
