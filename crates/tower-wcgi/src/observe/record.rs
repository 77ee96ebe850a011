//! The record of one exchange: what a status page, metrics and the log know of it, while it is at work and after.
//!
//! In: what each stage notes. Out: [`ExchangeInfo`]. Knows neither HTTP nor wasm.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Meters;
use crate::request::RequestId;

/// What is known of one exchange. It is among the extensions of its response, and [`Engine::running`](crate::Engine::running)
/// has those that are at work.
///
/// Clones are the same exchange. What it says goes on to change until the response's body is over.
#[derive(Debug, Clone)]
pub struct ExchangeInfo(Arc<Record>);

#[derive(Debug)]
struct Record {
    id: RequestId,
    method: String,
    path: String,
    start: Instant,
    meters: Arc<Meters>,
    state: AtomicU8,
    queue: AtomicU64,
    instantiate: AtomicU64,
    cpu: AtomicU64,
    memory: AtomicU64,
}

/// What an exchange is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ExchangeState {
    /// It waits for a permit.
    Permit,
    /// Its script computes, or sleeps; or the gateway is at work for it.
    Computing,
    /// Its script waits for the request's body.
    Reading,
    /// Its script waits for the client to read.
    Writing,
    /// Its script waits for its turn to write a file.
    File,
    /// Its script waits for a connection of its own.
    Connection,
}

impl ExchangeInfo {
    pub(crate) fn new(id: RequestId, method: &str, path: &str, meters: Arc<Meters>) -> Self {
        Self(Arc::new(Record {
            id,
            method: method.to_owned(),
            path: path.to_owned(),
            start: Instant::now(),
            meters,
            state: AtomicU8::new(ExchangeState::Computing as u8),
            queue: AtomicU64::new(0),
            instantiate: AtomicU64::new(0),
            cpu: AtomicU64::new(0),
            memory: AtomicU64::new(0),
        }))
    }

    /// The request's id, as the log has it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id.as_str()
    }

    /// The [name](crate::WcgiBuilder::name) of the service.
    #[must_use]
    pub fn site(&self) -> &str {
        self.0.meters.site()
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// The request's path as the client sent it, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// How long ago the request came.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// What the exchange is at.
    #[must_use]
    pub fn state(&self) -> ExchangeState {
        let state = self.0.state.load(Ordering::Relaxed);
        ExchangeState::ALL.into_iter().find(|known| *known as u8 == state).unwrap_or(ExchangeState::Computing)
    }

    /// How long it waited for a permit.
    #[must_use]
    pub fn queue(&self) -> Duration {
        nanos(&self.0.queue)
    }

    /// How long making its instance took.
    #[must_use]
    pub fn instantiate(&self) -> Duration {
        nanos(&self.0.instantiate)
    }

    /// How long its script has computed. That is time of a processor, unless other programs need the processors too.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        nanos(&self.0.cpu)
    }

    /// The most linear memory that its script had, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.0.memory.load(Ordering::Relaxed)
    }

    pub(crate) fn request_id(&self) -> &RequestId {
        &self.0.id
    }

    pub(crate) fn meters(&self) -> &Meters {
        &self.0.meters
    }

    pub(crate) fn is_at(&self, state: ExchangeState) {
        self.0.state.store(state as u8, Ordering::Relaxed);
    }

    /// It has its permit, asked for at `since`.
    pub(crate) fn has_permit(&self, since: Instant) {
        let took = since.elapsed();
        add(&self.0.queue, took);
        self.0.meters.queued(took);
        self.is_at(ExchangeState::Computing);
    }

    /// It has its instance, asked for at `since`.
    pub(crate) fn has_instance(&self, since: Instant) {
        let took = since.elapsed();
        add(&self.0.instantiate, took);
        self.0.meters.instantiated(took);
    }

    pub(crate) fn computed(&self, took: Duration) {
        add(&self.0.cpu, took);
        self.0.meters.computed(took);
    }

    pub(crate) fn has_memory(&self, bytes: usize) {
        self.0.memory.fetch_max(bytes as u64, Ordering::Relaxed);
    }
}

impl ExchangeState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Permit, Self::Computing, Self::Reading, Self::Writing, Self::File, Self::Connection];

    /// The state as one word, as metrics name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Computing => "computing",
            Self::Reading => "reading",
            Self::Writing => "writing",
            Self::File => "file",
            Self::Connection => "connection",
        }
    }
}

fn add(to: &AtomicU64, took: Duration) {
    to.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn nanos(of: &AtomicU64) -> Duration {
    Duration::from_nanos(of.load(Ordering::Relaxed))
}
