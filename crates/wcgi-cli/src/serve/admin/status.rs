//! What the server is at: the facts behind `/status`.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Value, json};
use tower_wcgi::{Engine, ExchangeInfo, ExchangeState};

use crate::serve::app::Served;

/// One look at everything.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) uptime_seconds: u64,
    pub(super) permits: usize,
    pub(super) available: usize,
    pub(super) queued: usize,
    pub(super) sites: Vec<SiteStatus>,
    /// The oldest first.
    pub(super) running: Vec<ExchangeInfo>,
}

#[derive(Debug)]
pub(super) struct SiteStatus {
    pub(super) name: String,
    pub(super) package: String,
    pub(super) requests: u64,
    pub(super) running: usize,
    pub(super) queued: usize,
}

impl Status {
    pub(super) fn of(served: &Served, engine: &Engine, start: Instant) -> Self {
        let mut running = engine.running();
        running.sort_by_key(|exchange| std::cmp::Reverse(exchange.age()));
        let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
        for exchange in &running {
            let (running, queued) = counts.entry(exchange.site()).or_default();
            match exchange.state() {
                ExchangeState::Permit => *queued += 1,
                _ => *running += 1,
            }
        }
        let sites = served.sites();
        let sites = sites.sites.iter().map(|site| {
            let (running, queued) = counts.get(&*site.name).copied().unwrap_or_default();
            SiteStatus {
                name: site.name.to_string(),
                package: site.settings.package.value.to_string(),
                requests: site.requests.load(Ordering::Relaxed),
                running,
                queued,
            }
        });
        Self {
            uptime_seconds: start.elapsed().as_secs(),
            permits: engine.permits(),
            available: engine.available_permits(),
            queued: engine.queued(),
            sites: sites.collect(),
            running,
        }
    }

    pub(super) fn json(&self) -> Value {
        let sites = self.sites.iter().map(|site| {
            json!({
                "name": site.name,
                "package": site.package,
                "requests": site.requests,
                "running": site.running,
                "queued": site.queued,
            })
        });
        let running = self.running.iter().map(|exchange| {
            json!({
                "id": exchange.id(),
                "site": exchange.site(),
                "method": exchange.method(),
                "path": exchange.path(),
                "age_ms": millis(exchange),
                "state": exchange.state().as_str(),
                "memory_bytes": exchange.memory(),
            })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.uptime_seconds,
            "engine": { "permits": self.permits, "available": self.available, "queued": self.queued },
            "sites": sites.collect::<Vec<_>>(),
            "running": running.collect::<Vec<_>>(),
        })
    }
}

pub(super) fn millis(exchange: &ExchangeInfo) -> u64 {
    u64::try_from(exchange.age().as_millis()).unwrap_or(u64::MAX)
}
