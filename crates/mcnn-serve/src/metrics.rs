//! Counters and histograms, in Prometheus's text format.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the latency histogram, in seconds.
const LATENCIES: [f64; 14] =
    [0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0];
/// Upper bounds of the distance histogram, in standardized units.
const DISTANCES: [f64; 12] = [0.01, 0.03, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Sessions begun.
    pub sessions: AtomicU64,
    /// Sessions that are open.
    pub open: AtomicU64,
    /// Clients refused: too many sessions, a wrong key, a page of another site, or no websocket.
    pub refused: AtomicU64,
    /// Requests that were answered with actions.
    pub requests: AtomicU64,
    /// Requests that were answered with an error.
    pub errors: AtomicU64,
    /// Answers in out-of-distribution states.
    pub ood: AtomicU64,
    /// Times that the policy was replaced.
    pub swaps: AtomicU64,
    /// Times that a changed file was not usable.
    pub failed_swaps: AtomicU64,
    latencies: Histogram<{ LATENCIES.len() }>,
    distances: Histogram<{ DISTANCES.len() }>,
}

impl Metrics {
    /// Counts an answer.
    pub fn answered(&self, latency: Duration, distance: f32, ood: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.ood.fetch_add(ood.into(), Relaxed);
        self.latencies.add(latency.as_secs_f64(), &LATENCIES);
        self.distances.add(distance.into(), &DISTANCES);
    }

    /// The text of `/metrics`.
    pub fn text(&self, name: &str, fingerprint: &str) -> String {
        let mut text = String::new();
        let labels = format!("policy=\"{}\",fingerprint=\"{}\"", escaped(name), escaped(fingerprint));
        let _ = writeln!(
            text,
            "# HELP mcnn_policy The policy that acts.\n# TYPE mcnn_policy gauge\nmcnn_policy{{{labels}}} 1"
        );
        for (name, kind, help, value) in [
            ("mcnn_requests_total", "counter", "Requests answered with actions.", &self.requests),
            ("mcnn_errors_total", "counter", "Requests answered with an error.", &self.errors),
            ("mcnn_ood_total", "counter", "Answers in out-of-distribution states.", &self.ood),
            ("mcnn_sessions_total", "counter", "Sessions begun.", &self.sessions),
            ("mcnn_sessions_open", "gauge", "Sessions that are open.", &self.open),
            (
                "mcnn_refused_total",
                "counter",
                "Clients refused: too many sessions, a wrong key, a page of another site, or no websocket.",
                &self.refused,
            ),
            ("mcnn_policy_swaps_total", "counter", "Times the policy was replaced.", &self.swaps),
            (
                "mcnn_policy_swap_failures_total",
                "counter",
                "Times a changed policy file was not usable.",
                &self.failed_swaps,
            ),
        ] {
            let value = value.load(Relaxed);
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        self.latencies.write(
            &mut text,
            "mcnn_latency_seconds",
            "Time from a request's arrival to its answer, waiting for a thread included.",
            &LATENCIES,
        );
        self.distances.write(
            &mut text,
            "mcnn_distance",
            "Distance to the nearest memory, in standardized units.",
            &DISTANCES,
        );
        text
    }
}

/// A label's value: backslashes, quotes and line ends escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// Counts by upper bounds; what is above the last counts in the total alone.
#[derive(Debug)]
struct Histogram<const N: usize> {
    counts: [AtomicU64; N],
    total: AtomicU64,
    sum: AtomicU64, // the bits of an f64
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; N], total: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }
}

impl<const N: usize> Histogram<N> {
    fn add(&self, value: f64, bounds: &[f64; N]) {
        if let Some(k) = bounds.iter().position(|bound| value <= *bound) {
            self.counts[k].fetch_add(1, Relaxed);
        }
        self.total.fetch_add(1, Relaxed);
        let plus = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
        let _ = self.sum.fetch_update(Relaxed, Relaxed, plus);
    }

    fn write(&self, text: &mut String, name: &str, help: &str, bounds: &[f64; N]) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut below = 0;
        for (count, bound) in self.counts.iter().zip(bounds) {
            below += count.load(Relaxed);
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        // A value that is added while this is written must not make the total the smaller one.
        let total = self.total.load(Relaxed).max(below);
        let sum = f64::from_bits(self.sum.load(Relaxed));
        let _ =
            writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {sum}\n{name}_count {total}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative_and_end_with_the_total() {
        let metrics = Metrics::default();
        for (micros, distance, ood) in [(10, 0.02, false), (300, 0.02, false), (5_000_000, 1e6, true)] {
            metrics.answered(Duration::from_micros(micros), distance, ood);
        }
        let text = metrics.text("a \"b\"\\", "sha\n");
        for line in [
            r#"mcnn_policy{policy="a \"b\"\\",fingerprint="sha\n"} 1"#,
            "mcnn_requests_total 3",
            "mcnn_ood_total 1",
            r#"mcnn_latency_seconds_bucket{le="0.00002"} 1"#,
            r#"mcnn_latency_seconds_bucket{le="0.0005"} 2"#,
            r#"mcnn_latency_seconds_bucket{le="1"} 2"#,
            r#"mcnn_latency_seconds_bucket{le="+Inf"} 3"#,
            "mcnn_latency_seconds_count 3",
            r#"mcnn_distance_bucket{le="0.01"} 0"#,
            r#"mcnn_distance_bucket{le="100"} 2"#,
            r#"mcnn_distance_bucket{le="+Inf"} 3"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
