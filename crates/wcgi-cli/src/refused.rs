//! Requests that hyper and h2 refuse before the service sees them.
//!
//! In: the reason of a refusal. Out: a line with the peer and the reason. If there are too many, only their number.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The lines of the last second, for all connections. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// When more lines are allowed again.
    end: Option<Instant>,
    logged: u32,
    /// Requests without a line since their number was last logged.
    left_out: u64,
}

impl Refused {
    /// Logs a refusal, or counts it.
    pub(crate) fn log(&self, peer: SocketAddr, reason: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let end = match lines.end.filter(|end| now < *end) {
            Some(end) => end,
            None => {
                lines.logged = 0;
                *lines.end.insert(now + PERIOD)
            }
        };
        if lines.logged < MOST_LINES {
            lines.logged += 1;
            drop(lines);
            let reason: String = reason.chars().take(MOST_REASON).collect();
            tracing::info!(%peer, reason, "refused a request that is not HTTP");
            return;
        }
        lines.left_out += 1;
        if lines.left_out == 1 {
            let this = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(end).await;
                this.tell_left_out();
            });
        }
    }

    /// Logs how many requests had no line of their own, if any.
    pub(crate) fn tell_left_out(&self) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = std::mem::take(&mut lines.left_out);
        drop(lines);
        if requests > 0 {
            tracing::info!(requests, "refused more requests that are not HTTP");
        }
    }
}

/// Why a connection ended, if that was a refusal.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> Option<String> {
    error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse())?;
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    Some(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

/// A port scan or a broken client must not fill a disk.
const MOST_LINES: u32 = 20;
const MOST_REASON: usize = 200;
const PERIOD: Duration = Duration::from_secs(1);
