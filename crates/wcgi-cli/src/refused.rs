//! Requests that hyper refuses before the service sees them.
//!
//! In: how a connection ended. Out: a line with the peer and the reason, or, where there are too many of them, their number.

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
    /// When more are allowed again.
    end: Option<Instant>,
    logged: u32,
    /// Requests without a line since their number was told.
    left_out: u64,
}

impl Refused {
    /// Logs the end of a connection if it is a refusal. Whether it is.
    ///
    /// The caller goes on with [`tell_left_out`](Self::tell_left_out) at the moment that this gives, if any.
    pub(crate) fn log(&self, peer: SocketAddr, error: &(dyn Error + 'static)) -> (bool, Option<Instant>) {
        if !error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return (false, None);
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let end = match lines.end.filter(|end| now < *end) {
            Some(end) => end,
            None => {
                lines.logged = 0;
                *lines.end.insert(now + PERIOD)
            }
        };
        if lines.logged == MOST_LINES {
            lines.left_out += 1;
            return (true, (lines.left_out == 1).then_some(end));
        }
        lines.logged += 1;
        drop(lines);
        tracing::info!(%peer, reason = reason(error), "refused a request that is not HTTP");
        (true, None)
    }

    /// Logs how many requests had no line of their own.
    pub(crate) fn tell_left_out(&self) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = std::mem::take(&mut lines.left_out);
        drop(lines);
        tracing::info!(requests, "refused more requests that are not HTTP");
    }
}

fn reason(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A port scan or a broken client must not fill a disk.
const MOST_LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(1);
