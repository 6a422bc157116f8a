use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::metrics::Numbers;
use crate::statistics::{duration, peak_memory};

/// How fast a run is. Nothing of this has a part in what it computes.
pub(crate) struct Clock {
    started: Instant,
    first_step: u64,
    rows: u64,
    tokens_since_log: u64,
    time_since_log: Duration,
}

impl Clock {
    /// Starts, after `step` steps of an earlier part of the run.
    pub(crate) fn start(step: u64) -> Self {
        let started = Instant::now();
        Self { started, first_step: step, rows: 0, tokens_since_log: 0, time_since_log: Duration::ZERO }
    }

    /// Takes note of an optimiser step.
    pub(crate) fn step_done(&mut self, time: Duration, rows: u64, tokens: u64) {
        self.rows += rows;
        self.tokens_since_log += tokens;
        self.time_since_log += time;
    }

    /// Adds to a log line how far the run is.
    pub(crate) fn add_progress(&self, line: &mut Numbers, step: u64, max_steps: u64) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let speed = elapsed / (step - self.first_step).max(1) as f64;
        let remaining = speed * max_steps.saturating_sub(step) as f64;
        let mut add = |name: &str, value: Value| line.insert(name.into(), value);
        add("global_step/max_steps", json!(format!("{step}/{max_steps}")));
        add("elapsed_time", json!(duration(elapsed)));
        add("remaining_time", json!(duration(remaining)));
        if let Some(memory) = peak_memory() {
            add("memory(GiB)", json!(memory));
        }
        add("train_speed(s/it)", json!(speed));
    }

    /// Adds to a line about training how many tokens went through the model in a second since the last one.
    pub(crate) fn add_throughput(&mut self, line: &mut Numbers) {
        let seconds = std::mem::take(&mut self.time_since_log).as_secs_f64();
        let tokens = std::mem::take(&mut self.tokens_since_log) as f64;
        line.insert("tokens_per_second".into(), json!(tokens / seconds));
    }

    /// What the whole run took.
    pub(crate) fn totals(&self, step: u64) -> [(&'static str, f64); 3] {
        let seconds = self.started.elapsed().as_secs_f64();
        let per_second = |count: u64| count as f64 / seconds;
        [
            ("train_runtime", seconds),
            ("train_samples_per_second", per_second(self.rows)),
            ("train_steps_per_second", per_second(step - self.first_step)),
        ]
    }
}
