//! Numbers about the server, as Prometheus reads them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use swift_infer::Statistics;

/// Upper bounds of the histograms' buckets, in seconds.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// What the server counts.
#[derive(Default)]
pub(crate) struct Metrics {
    /// By route and status.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    pub(crate) first_token: Histogram,
    pub(crate) latency: Histogram,
}

/// How often something took how long.
#[derive(Default)]
pub(crate) struct Histogram(Mutex<Times>);

#[derive(Clone, Copy, Default)]
struct Times {
    /// Of each bucket alone.
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    pub(crate) fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = BOUNDS.iter().zip(times.counts.iter_mut()).find(|(bound, _)| seconds <= **bound);
        if let Some((_, count)) = bucket {
            *count += 1;
        }
        times.count += 1;
        times.sum += seconds;
    }

    fn write(&self, name: &str, help: &str, text: &mut String) -> std::fmt::Result {
        let times = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        head(name, help, "histogram", text)?;
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(times.counts) {
            below += count;
            writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {below}")?;
        }
        writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {}", times.count)?;
        writeln!(text, "{name}_sum {}\n{name}_count {}", times.sum, times.count)
    }
}

fn head(name: &str, help: &str, kind: &str, text: &mut String) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

impl Metrics {
    pub(crate) fn count(&self, route: &'static str, status: u16) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((route, status)).or_default() +=
            1;
    }

    /// Everything as text.
    pub(crate) fn show(&self, statistics: &Statistics) -> Result<String, std::fmt::Error> {
        let Statistics { running, waiting, free_blocks, total_blocks, .. } = *statistics;
        let Statistics { prompt_tokens, cached_tokens, generated_tokens, preemptions, .. } = *statistics;
        let numbers = [
            ("swift_sequences_running", "gauge", "Sequences that are computed", running as u64),
            ("swift_sequences_waiting", "gauge", "Sequences that wait", waiting as u64),
            (
                "swift_cache_blocks_free",
                "gauge",
                "Blocks of the cache that no sequence has",
                free_blocks as u64,
            ),
            ("swift_cache_blocks", "gauge", "Blocks of the cache", total_blocks as u64),
            ("swift_prompt_tokens_total", "counter", "Tokens of prompts", prompt_tokens),
            ("swift_cached_tokens_total", "counter", "Tokens of prompts found in the cache", cached_tokens),
            ("swift_generated_tokens_total", "counter", "Tokens generated", generated_tokens),
            ("swift_preemptions_total", "counter", "Sequences that gave their blocks back", preemptions),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in numbers {
            head(name, help, kind, &mut text)?;
            writeln!(text, "{name} {value}")?;
        }
        let name = "swift_http_requests_total";
        head(name, "Requests by route and status", "counter", &mut text)?;
        for ((route, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            writeln!(text, "{name}{{route=\"{route}\",status=\"{status}\"}} {count}")?;
        }
        let help = "Seconds until a request's first token";
        self.first_token.write("swift_time_to_first_token_seconds", help, &mut text)?;
        let help = "Seconds until a request's last token";
        self.latency.write("swift_request_duration_seconds", help, &mut text)?;
        Ok(text)
    }
}
