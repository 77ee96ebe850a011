//! What metrics say of the exchanges of one service, by the `metrics` facade.
//!
//! In: durations, bytes and words of the host's own. Out: counters and histograms. No label is one that a client can make up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

/// The meters of one service, registered once: that takes longer than counting.
pub(crate) struct Meters {
    site: Arc<str>,
    duration: Histogram,
    queue: Histogram,
    instantiate: Histogram,
    first_byte: Histogram,
    cpu: Counter,
    memory: Histogram,
    stderr_lines: Counter,
}

impl Meters {
    pub(crate) fn new(site: &str) -> Self {
        let histogram = |name: &'static str| histogram!(name, "site" => site.to_owned());
        Self {
            site: site.into(),
            duration: histogram(DURATION),
            queue: histogram(QUEUE),
            instantiate: histogram(INSTANTIATE),
            first_byte: histogram(FIRST_BYTE),
            cpu: counter!(CPU, "site" => site.to_owned()),
            memory: histogram(MEMORY),
            stderr_lines: counter!(STDERR_LINES, "site" => site.to_owned()),
        }
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").field("site", &self.site).finish_non_exhaustive()
    }
}

impl Meters {
    pub(crate) fn site(&self) -> &str {
        &self.site
    }

    pub(crate) fn queued(&self, took: Duration) {
        self.queue.record(took);
    }

    pub(crate) fn instantiated(&self, took: Duration) {
        self.instantiate.record(took);
    }

    pub(crate) fn computed(&self, took: Duration) {
        self.cpu.increment(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn answered(&self, after: Duration) {
        self.first_byte.record(after);
    }

    pub(crate) fn failed(&self, kind: &'static str) {
        counter!(FAILURES, "site" => self.site().to_owned(), "kind" => kind).increment(1);
    }

    pub(crate) fn stderr_line(&self) {
        self.stderr_lines.increment(1);
    }

    pub(crate) fn ended(&self, method: &str, status: u16, took: Duration, memory: u64) {
        self.duration.record(took);
        if memory > 0 {
            self.memory.record(memory as f64);
        }
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let labels = [("site", self.site().to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
        counter!(REQUESTS, &labels).increment(1);
    }
}

/// Tells the recorder of the process what each metric of this crate means. Call it once, after the recorder is installed and
/// before services are built: those count with the recorder that there is when they are built.
///
/// Counters are whole numbers, so processor time is counted in nanoseconds.
pub fn describe_metrics() {
    let histogram = |name: &'static str, unit, text: &'static str| describe_histogram!(name, unit, text);
    let counter = |name: &'static str, unit, text: &'static str| describe_counter!(name, unit, text);
    counter(REQUESTS, Unit::Count, "Requests that are over, by method and status; 499 where the client left before.");
    histogram(DURATION, Unit::Seconds, "From a request's head to the last byte of its response.");
    histogram(QUEUE, Unit::Seconds, "How long requests waited for a permit.");
    histogram(INSTANTIATE, Unit::Seconds, "How long making an instance took.");
    histogram(FIRST_BYTE, Unit::Seconds, "From a request's head to the head of its response.");
    counter(CPU, Unit::Nanoseconds, "How long scripts computed.");
    histogram(MEMORY, Unit::Bytes, "The most linear memory that a script had.");
    counter(FAILURES, Unit::Count, "Exchanges that failed, by kind.");
    counter(STDERR_LINES, Unit::Count, "Lines that scripts wrote to stderr.");
}

const REQUESTS: &str = "wcgi_requests_total";
const DURATION: &str = "wcgi_request_duration_seconds";
const QUEUE: &str = "wcgi_queue_duration_seconds";
const INSTANTIATE: &str = "wcgi_instantiate_duration_seconds";
const FIRST_BYTE: &str = "wcgi_first_byte_duration_seconds";
const CPU: &str = "wcgi_cpu_nanoseconds_total";
const MEMORY: &str = "wcgi_memory_peak_bytes";
const FAILURES: &str = "wcgi_failures_total";
const STDERR_LINES: &str = "wcgi_stderr_lines_total";

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
