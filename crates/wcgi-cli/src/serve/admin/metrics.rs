//! The metrics of the server, in Prometheus' text format. The library counts exchanges; what is only seen here is added.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tower_wcgi::{Engine, ExchangeState};

use crate::serve::app::Served;

/// The recorder of this process. Clones are the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    handle: PrometheusHandle,
    process: Arc<Collector>,
}

impl Metrics {
    /// Has all metrics of the process recorded from here on.
    ///
    /// # Errors
    ///
    /// When they are recorded already.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES));
        let handle = builder.and_then(PrometheusBuilder::install_recorder).context("cannot record metrics")?;
        describe();
        let process = Collector::default();
        process.describe();
        Ok(Self { handle, process: Arc::new(process) })
    }

    /// What they are now.
    pub(super) fn text(&self, served: &Served, engine: &Engine) -> String {
        self.process.collect();
        gauge!("wcgi_queue_length").set(engine.queued() as f64);
        gauge!("wcgi_permits_available").set(engine.available_permits() as f64);
        counter!("wcgi_log_lines_dropped_total").absolute(served.log().dropped());
        let mut states: HashMap<(String, ExchangeState), u32> = HashMap::new();
        for exchange in engine.running() {
            *states.entry((exchange.site().to_owned(), exchange.state())).or_default() += 1;
        }
        for site in &served.sites().sites {
            let name = site.name.to_string();
            for state in ExchangeState::ALL {
                let number = states.get(&(name.clone(), state)).copied().unwrap_or_default();
                gauge!("wcgi_exchanges", "site" => name.clone(), "state" => state.as_str()).set(number);
            }
            gauge!("wcgi_snapshot_age_seconds", "site" => name).set(site.opened.elapsed().as_secs_f64());
        }
        self.handle.run_upkeep();
        with_seconds(&self.handle.render())
    }

    /// Adds up what histograms have collected, which would grow while nobody asks for them.
    pub(crate) async fn upkeep(self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.handle.run_upkeep();
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Counters are whole numbers by the facade, and Prometheus has processor time in seconds.
fn with_seconds(text: &str) -> String {
    let mut seconds = String::with_capacity(text.len());
    for line in text.lines() {
        let value = line.rsplit_once(' ').filter(|_| line.starts_with(NANOSECONDS));
        match value.and_then(|(series, value)| Some((series, value.parse::<f64>().ok()?))) {
            Some((series, nanos)) => {
                seconds += &format!("{} {}", series.replacen(NANOSECONDS, SECONDS_TOTAL, 1), nanos / 1e9);
            }
            None => seconds += &line.replacen(NANOSECONDS, SECONDS_TOTAL, 1),
        }
        seconds.push('\n');
    }
    seconds
}

fn describe() {
    tower_wcgi::describe_metrics();
    describe_gauge!("wcgi_exchanges", Unit::Count, "Requests at work, by what each is at.");
    describe_gauge!("wcgi_queue_length", Unit::Count, "Requests that wait for a permit.");
    describe_gauge!("wcgi_permits_available", Unit::Count, "Exchanges that could start without waiting.");
    describe_gauge!("wcgi_snapshot_age_seconds", Unit::Seconds, "How long ago the site was opened.");
    describe_counter!("wcgi_log_lines_dropped_total", Unit::Count, "Lines of the log that could not be written.");
    describe_counter!("wcgi_cache_total", Unit::Count, "Requests to sites with a cache, by what that did.");
    describe_counter!("wcgi_tls_handshakes_failed_total", Unit::Count, "TLS handshakes that failed or took too long.");
    counter!("wcgi_tls_handshakes_failed_total").absolute(0);
    describe_counter!("wcgi_reloads_total", Unit::Count, "Reloads of the configuration, by result.");
    for result in ["ok", "failed"] {
        counter!("wcgi_reloads_total", "result" => result).absolute(0);
    }
}

const UPKEEP: Duration = Duration::from_secs(5);
const NANOSECONDS: &str = "wcgi_cpu_nanoseconds_total";
const SECONDS_TOTAL: &str = "wcgi_cpu_seconds_total";
const SECONDS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
const BYTES: [f64; 8] =
    [1_048_576.0, 4_194_304.0, 8_388_608.0, 16_777_216.0, 33_554_432.0, 67_108_864.0, 134_217_728.0, 268_435_456.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_in_seconds() {
        let text = "# HELP wcgi_cpu_nanoseconds_total How\n# TYPE wcgi_cpu_nanoseconds_total counter\n\
                    wcgi_cpu_nanoseconds_total{site=\"a b\"} 1500000000\nother 1\n";
        let expected = "# HELP wcgi_cpu_seconds_total How\n# TYPE wcgi_cpu_seconds_total counter\n\
                        wcgi_cpu_seconds_total{site=\"a b\"} 1.5\nother 1\n";
        assert_eq!(with_seconds(text), expected);
    }
}
