//! What the scripts of one service may connect to, and what they share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::allow::Rules;
use super::refused::Lines;
use super::resolve::Resolver;
use super::rule::NetRule;

/// What a service's scripts may connect to, and what they share.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(super) rules: Rules,
    pub(super) limits: Limits,
    /// Connections that may still be made.
    pub(super) free: Arc<Semaphore>,
    pub(super) resolver: Resolver,
    pub(super) lines: Lines,
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
