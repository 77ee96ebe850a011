//! The memory of the cache: stored responses, and who is being asked for one right now.
//!
//! moka bounds what is stored by its bytes, and keeps what is asked for often. What is still being written has a part of
//! the memory to itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use tokio::sync::watch;

use super::key::Key;
use super::stored::Stored;

/// What all sites have stored.
pub(crate) struct Store {
    entries: moka::sync::Cache<Key, Entry>,
    flights: Mutex<HashMap<Key, Flight>>,
    /// Bytes that are being written, and how many there may be.
    writing: AtomicU64,
    room: u64,
    largest: u64,
    next: AtomicU64,
}

#[derive(Debug, Clone)]
enum Entry {
    /// Of a target: the request fields that choose its variants.
    Target { number: u64, varies_by: Arc<[HeaderName]> },
    /// Of a target that was not storable the last time: nobody waits for it until then.
    Pass(Instant),
    /// Of a variant.
    Stored(Arc<Stored>),
}

#[derive(Debug)]
struct Flight {
    done: watch::Receiver<bool>,
    outdated: Arc<AtomicBool>,
}

/// What is known about a request.
#[derive(Debug)]
pub(super) enum Found {
    Stored(Arc<Stored>),
    /// Where the target is known, another variant than this one is stored.
    Nothing {
        knows_target: bool,
    },
    Pass,
}

/// Who asks the script.
#[derive(Debug)]
pub(super) enum Turn {
    Own(Flown),
    /// Somebody else does. It changes when that is over.
    Others(watch::Receiver<bool>),
}

/// The turn to ask. Those who wait go on when it is dropped.
#[derive(Debug)]
pub(super) struct Flown {
    store: Arc<Store>,
    /// What is found under it when it is over.
    pub(super) target: Key,
    key: Key,
    done: watch::Sender<bool>,
    outdated: Arc<AtomicBool>,
}

/// Who waits for a turn to be over.
#[derive(Debug)]
pub(super) struct Waiting(watch::Sender<bool>);

/// Room for a body that is being written. It is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    store: Arc<Store>,
    bytes: u64,
}

impl Store {
    pub(crate) fn new(memory: u64) -> Self {
        let weigh = |key: &Key, entry: &Entry| {
            let content = match entry {
                Entry::Stored(stored) => stored.bytes(),
                Entry::Target { .. } | Entry::Pass(_) => 0,
            };
            u32::try_from(content + key.bytes() + OVERHEAD).unwrap_or(u32::MAX)
        };
        let entries = moka::sync::Cache::builder().max_capacity(memory - memory / 4).weigher(weigh);
        Self {
            entries: entries.support_invalidation_closures().build(),
            flights: Mutex::default(),
            writing: AtomicU64::new(0),
            room: memory / 4,
            largest: memory / 8,
            next: AtomicU64::new(0),
        }
    }

    /// Another number each time.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn find(&self, target: &Key, request: &HeaderMap) -> (Found, Key) {
        let (number, varies_by) = match self.entries.get(target) {
            Some(Entry::Target { number, varies_by }) => (number, varies_by),
            Some(Entry::Pass(until)) if Instant::now() < until => return (Found::Pass, target.clone()),
            _ => return (Found::Nothing { knows_target: false }, target.clone()),
        };
        let variant = target.variant(number, &varies_by, request);
        match self.entries.get(&variant) {
            Some(Entry::Stored(stored)) => (Found::Stored(stored), variant),
            _ => (Found::Nothing { knows_target: true }, variant),
        }
    }

    /// Takes the turn to ask for `key`, unless somebody has it.
    pub(super) fn turn(self: &Arc<Self>, target: &Key, key: Key) -> Turn {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&key) {
            return Turn::Others(flight.done.clone());
        }
        let (done, seen) = watch::channel(false);
        let outdated = Arc::new(AtomicBool::new(false));
        flights.insert(key.clone(), Flight { done: seen, outdated: Arc::clone(&outdated) });
        Turn::Own(Flown { store: Arc::clone(self), target: target.clone(), key, done, outdated })
    }

    /// Drops what a target has, also what is being written.
    pub(super) fn forget(&self, target: &Key) {
        for (key, flight) in &*self.flights() {
            if key.is_beside(target) {
                flight.outdated.store(true, Ordering::Relaxed);
            }
        }
        // The next number of the target has no variant in common with this one.
        self.entries.invalidate(target);
    }

    pub(super) fn forget_site(&self, site: u64) {
        // It fails where closures are not allowed, which is said above.
        let _ = self.entries.invalidate_entries_if(move |key, _| key.site == site);
    }

    pub(super) fn room(self: &Arc<Self>) -> Room {
        Room { store: Arc::clone(self), bytes: 0 }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Flown {
    /// Stores the response to a request with these fields.
    pub(super) fn store(&self, stored: Arc<Stored>, request: &HeaderMap) {
        // So that it is not forgotten between the look and the insertion.
        let _flights = self.store.flights();
        if self.outdated.load(Ordering::Relaxed) {
            return;
        }
        let fields = stored.head().varies_by();
        let entries = &self.store.entries;
        let number = match entries.get(&self.target) {
            Some(Entry::Target { number, varies_by }) if *varies_by == *fields => number,
            _ => {
                let number = self.store.number();
                entries.insert(self.target.clone(), Entry::Target { number, varies_by: fields.clone().into() });
                number
            }
        };
        entries.insert(self.target.variant(number, &fields, request), Entry::Stored(stored));
    }

    /// The target is not storable now: nobody waits for it for a while.
    pub(super) fn pass(&self) {
        self.store.entries.insert(self.target.clone(), Entry::Pass(Instant::now() + PASS));
    }

    pub(super) fn waiting(&self) -> Waiting {
        Waiting(self.done.clone())
    }
}

impl Waiting {
    pub(super) fn is_anybody(&self) -> bool {
        // One is the flight's own.
        self.0.receiver_count() > 1
    }
}

impl Drop for Flown {
    fn drop(&mut self) {
        self.store.flights().remove(&self.key);
        self.done.send_replace(true);
    }
}

impl Room {
    /// Whether there is room for so much more.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        if self.bytes + bytes > self.store.largest {
            return false;
        }
        let writing = &self.store.writing;
        if writing.fetch_add(bytes, Ordering::Relaxed) + bytes > self.store.room {
            writing.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.store.writing.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What an entry costs beside its content.
const OVERHEAD: usize = 300;
/// How long a target that was not storable is not waited for.
const PASS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_has_a_quarter_of_the_memory_and_one_body_an_eighth() {
        let store = Arc::new(Store::new(800));
        let mut rooms = [store.room(), store.room(), store.room()];
        assert!(rooms[0].grow(100) && !rooms[0].grow(1));
        assert!(rooms[1].grow(60) && !rooms[2].grow(41) && rooms[2].grow(40) && !rooms[1].grow(1));
        drop(rooms);
        let mut room = store.room();
        assert!(room.grow(100));
        assert_eq!(store.writing.load(Ordering::Relaxed), 100);
    }
}
