//! What is said of refused connections: one line for each exchange and destination, and not without end.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::allow::{Peer, missing_rule};
use crate::request::RequestId;

/// Lines that a service may still log.
#[derive(Debug)]
pub(super) struct Lines(Mutex<Second>);

#[derive(Debug)]
struct Second {
    began: Instant,
    logged: u32,
    left_out: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self(Mutex::new(Second { began: Instant::now(), logged: 0, left_out: 0 }))
    }
}

impl Lines {
    /// Whether there may be one more. What was left out is said with the first of the next second.
    fn take(&self) -> bool {
        let left_out = {
            let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut left_out = 0;
            if second.began.elapsed() >= SECOND {
                left_out = second.left_out;
                *second = Second { began: Instant::now(), logged: 0, left_out: 0 };
            }
            if second.logged >= LINES_OF_A_SECOND {
                second.left_out += 1;
                return false;
            }
            second.logged += 1;
            left_out
        };
        tell_left_out(left_out);
        true
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        tell_left_out(self.0.get_mut().unwrap_or_else(PoisonError::into_inner).left_out);
    }
}

fn tell_left_out(count: u64) {
    if count > 0 {
        tracing::warn!("{count} more connections were refused, which are not logged one by one");
    }
}

/// What one exchange was refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    seen: Vec<(Peer, Option<u16>)>,
    left_out: u64,
}

impl Refused {
    /// Logs that `peer` was refused, once. `inside` says that it is a name that leads inside; a look-up has no port.
    pub(super) fn note(&mut self, lines: &Lines, request_id: &RequestId, peer: &Peer, port: Option<u16>, inside: bool) {
        let destination = (peer.clone(), port);
        if self.seen.contains(&destination) {
            return;
        }
        if self.seen.len() >= LINES_OF_AN_EXCHANGE {
            self.left_out += 1;
            return;
        }
        self.seen.push(destination);
        if !lines.take() {
            return;
        }
        let rule = missing_rule(peer, port, inside);
        let shown = match peer {
            Peer::Name(name) => name.to_string(),
            Peer::Address(address) => address.to_string(),
        };
        let port = port.map(|port| format!(" at port {port}")).unwrap_or_default();
        let why = if inside { "leads to an address inside" } else { "is not granted" };
        tracing::warn!(%request_id, "the connection to {shown}{port} was refused: it {why}; `--net {rule}` would allow it");
    }

    /// Says how many there were besides.
    pub(super) fn finish(&mut self, lines: &Lines, request_id: &RequestId) {
        let count = std::mem::take(&mut self.left_out);
        if count > 0 && lines.take() {
            tracing::warn!(%request_id, "{count} more connections of this script were refused");
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const LINES_OF_A_SECOND: u32 = 100;
const LINES_OF_AN_EXCHANGE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: usize) -> Peer {
        Peer::Name(super::super::rule::Name::parse(&format!("host{n}")).unwrap())
    }

    #[test]
    fn a_service_logs_so_many_in_a_second() {
        let lines = Lines::default();
        let logged = (0..1000).filter(|_| lines.take()).count();
        assert!((100..=300).contains(&logged), "{logged}");
        assert!(lines.0.lock().unwrap().left_out > 0);
    }

    #[test]
    fn an_exchange_logs_each_destination_once_and_counts_what_is_above_the_limit() {
        let (lines, id) = (Lines::default(), RequestId::new("test"));
        let mut refused = Refused::default();
        for _ in 0..3 {
            for n in 0..20 {
                refused.note(&lines, &id, &peer(n), Some(80), false);
            }
        }
        assert_eq!(refused.seen.len(), 16);
        assert_eq!(lines.0.lock().unwrap().logged, 16);
        assert_eq!(refused.left_out, 12);
        refused.finish(&lines, &id);
        refused.finish(&lines, &id);
        assert_eq!(lines.0.lock().unwrap().logged, 17, "the rest is one line");
    }
}
