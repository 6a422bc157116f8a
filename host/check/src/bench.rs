//! What every check works with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swift_runtime::{HeldConstants, Kind, Plugin, Result, Usage};

use crate::recorder::Recorder;
use crate::report::{Outcome, Report};
use crate::{Golden, Options};

/// Calls that a time is the median of.
const CALLS: usize = 20;

/// A plugin at one of its kinds, and where findings go.
pub(crate) struct Bench<'a> {
    /// Its operations go to the recorder.
    pub(crate) plugin: Plugin,
    pub(crate) recorder: Arc<Recorder>,
    /// Keeps what the plugin detaches when it is told to.
    pub(crate) held: Arc<HeldConstants>,
    pub(crate) options: &'a Options,
    kind: Kind,
    report: &'a mut Report,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(plugin: &Plugin, options: &'a Options, kind: Kind, report: &'a mut Report) -> Self {
        let recorder = Arc::new(Recorder::default());
        let held = Arc::new(HeldConstants::default());
        let plugin = plugin.with_trace(recorder.clone()).with_held_constants(held.clone());
        Self { plugin, recorder, held, options, kind, report }
    }

    pub(crate) fn passed(&mut self, text: impl Into<String>) {
        self.report.push(self.kind, Outcome::Passed, text.into(), None);
    }

    pub(crate) fn noted(&mut self, text: impl Into<String>, hint: impl Into<Option<String>>) {
        self.report.push(self.kind, Outcome::Noted, text.into(), hint.into());
    }

    pub(crate) fn failed(&mut self, text: impl Into<String>, hint: impl Into<Option<String>>) {
        self.report.push(self.kind, Outcome::Failed, text.into(), hint.into());
    }

    /// One of two sentences, with what to do in the second case.
    pub(crate) fn expect(&mut self, holds: bool, good: &str, bad: &str, hint: &str) {
        match holds {
            true => self.passed(good),
            false => self.failed(bad, hint.to_owned()),
        }
    }

    /// Whether a second instance gave the same.
    pub(crate) fn expect_same(&mut self, same: bool) {
        self.expect(
            same,
            "Two instances give the same bits",
            "Two instances give different results for the same data",
            "a plugin may depend on its arguments, its input and its own state, and on nothing else",
        );
    }

    /// Looks at how many handles a call left to the host.
    pub(crate) fn handles(&mut self, usage: Usage) {
        match usage.left_handles {
            0 => self.passed("No handle is left when a call ends"),
            1 => self.noted("1 handle is left when a call ends", Self::left()),
            count => self.noted(format!("{count} handles are left when a call ends"), Self::left()),
        }
    }

    fn left() -> String {
        "the host releases them; languages with a garbage collector leave some, others can drop them sooner and need \
         less memory"
            .into()
    }

    /// Says how long a call takes, and how many operations it asks for.
    pub(crate) fn measure(&mut self, mut call: impl FnMut() -> Result<()>) -> Result<()> {
        self.recorder.take();
        let mut times = (0..CALLS).map(|_| timed(&mut call)).collect::<Result<Vec<_>>>()?;
        let operations = self.recorder.take().count / CALLS;
        times.sort_unstable();
        let median = times.get(CALLS / 2).copied().unwrap_or_default();
        let micros = median.as_nanos() as f64 / 1e3;
        self.passed(format!(
            "A call takes {micros:.1} µs and {operations} operations (median of {CALLS} calls)"
        ));
        Ok(())
    }

    /// Keeps numbers for a golden file, and compares them with those of one.
    pub(crate) fn golden(&mut self, measured: Golden, tolerance: f64) {
        self.report.measured.extend(measured);
        // A plugin may be both, and its golden file has the numbers of both.
        let last = self.plugin.kinds().iter().rfind(|kind| matches!(kind, Kind::Loss | Kind::Metric));
        if last != Some(&self.kind) {
            return;
        }
        if let Some(golden) = self.options.golden.as_ref().filter(|golden| !golden.is_empty()) {
            match golden.difference(&self.report.measured, tolerance) {
                None => self.passed("The golden values are met"),
                Some((name, was, is)) => self.failed(
                    format!("The {name} is {is}, and its golden value {was}"),
                    "if the change is wanted, write the golden file anew with `--write-golden`".to_owned(),
                ),
            }
        }
    }
}

fn timed(call: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    call()?;
    Ok(start.elapsed())
}
