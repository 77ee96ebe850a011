//! Outbound connections: which a script may make, and the connections themselves.
//!
//! In: the rules of a service; names, addresses and ports that its scripts ask for. Out: connections to peers that were checked,
//! or why there are none. Only an address that was looked at is ever dialled. It must not know wasm or packages.

mod allow;
mod dial;
mod inside;
mod refused;
mod resolve;
mod rule;
mod sockets;
mod stream;
#[cfg(test)]
mod tests_sockets;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

pub(crate) use allow::{Peer, not_granted};
pub(crate) use dial::Connection;
pub use rule::{InvalidNetRule, NetRule};
pub(crate) use sockets::Sockets;
pub(crate) use stream::Direction;

use allow::Rules;
use refused::Lines;
use resolve::Resolver;

/// What a service's scripts may connect to, and what they share.
#[derive(Debug)]
pub(crate) struct Outbound {
    rules: Rules,
    limits: Limits,
    /// Connections that may still be made.
    free: Arc<Semaphore>,
    resolver: Resolver,
    lines: Lines,
}

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections of one exchange.
    pub(crate) connections: usize,
    /// Connections of all exchanges.
    pub(crate) of_service: usize,
    /// How long a connect may take, with the wait for a free connection and the look-up.
    pub(crate) connect: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 16, of_service: 256, connect: Duration::from_secs(10) }
    }
}

impl Outbound {
    /// `as_asked` are rules that somebody has granted without looking at them.
    pub(crate) fn new(granted: Vec<NetRule>, as_asked: Vec<NetRule>, limits: Limits) -> Self {
        Self {
            rules: Rules::new(granted, as_asked),
            free: Arc::new(Semaphore::new(limits.of_service.min(Semaphore::MAX_PERMITS))),
            limits,
            resolver: Resolver::default(),
            lines: Lines::default(),
        }
    }
}

/// Why a script does not get what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No rule allows it.
    Denied,
    /// A name that is granted leads inside only.
    Inside,
    /// The exchange has as many as it may have.
    TooMany,
    NoSuchHost,
    /// There is no such socket.
    NoSocket,
    /// It is being connected.
    InProgress,
    /// It is being connected already.
    Already,
    IsConnected,
    /// A limit of the host's process.
    HostLimit,
    /// As the host saw it.
    Io(io::ErrorKind),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // There is no kind for it: EMFILE, ENFILE.
        if matches!(error.raw_os_error(), Some(23 | 24)) && cfg!(unix) {
            return Self::HostLimit;
        }
        Self::Io(error.kind())
    }
}

/// Sockets that an exchange may have, connected or not.
pub(crate) const MAX_SOCKETS: usize = 64;
