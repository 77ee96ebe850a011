//! The snapshots of one module: those in use, and those in the cache.
//!
//! In: what a start-up has left, under its key. Out: the snapshot. One that is much like another of its module shares what is the
//! same, in memory and in the cache. If nothing is different, it is the other one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use wcgi_memory::Image;

use super::cache::Cache;
use super::snapshot::{Globals, Snapshot};
use super::snapshot_file::{self, Written};
use crate::error::{Error, ErrorKind};

#[derive(Default)]
pub(crate) struct Snapshots {
    /// Whether there can be any, once that was found out: if not, why.
    pub(crate) possible: OnceLock<Result<(), String>>,
    in_use: Mutex<HashMap<blake3::Hash, Weak<Snapshot>>>,
    /// The same by what they have of their own.
    by_content: Mutex<HashMap<blake3::Hash, Weak<Snapshot>>>,
    /// What the last start-up was told the time is, since 1970.
    time: Mutex<Option<Duration>>,
    /// Images that share with no other, by their place in the cache: what a new one may be like.
    bases: Mutex<Vec<(String, Weak<Image>)>>,
}

impl Snapshots {
    /// The one with this key, if it is in use.
    pub(crate) fn find(&self, key: blake3::Hash) -> Option<Arc<Snapshot>> {
        locked(&self.in_use).get(&key)?.upgrade()
    }

    /// Remembers that it is in use. Gives the one that is used already if that is the same but for its key: then the
    /// start-up had no need of what the keys differ in.
    pub(crate) fn keep(&self, key: blake3::Hash, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = self.shared(snapshot);
        let mut in_use = locked(&self.in_use);
        in_use.retain(|_, snapshot| snapshot.strong_count() > 0);
        in_use.insert(key, Arc::downgrade(&snapshot));
        snapshot
    }

    fn shared(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        // With the same rest these are all bytes and globals.
        let content = blake3::hash(&snapshot_file::write(&snapshot, Some("")));
        let mut by_content = locked(&self.by_content);
        by_content.retain(|_, snapshot| snapshot.strong_count() > 0);
        let other = by_content.get(&content).and_then(Weak::upgrade);
        if let Some(other) = other.filter(|other| other.image.shares_with(&snapshot.image)) {
            return other;
        }
        let snapshot = Arc::new(snapshot);
        by_content.insert(content, Arc::downgrade(&snapshot));
        snapshot
    }

    /// What a start-up is told the time is: `now`, or what the one before was told if that is not long ago and later than
    /// `newest`, when a file was last modified. Also says which of them it is.
    pub(crate) fn time(&self, now: Duration, newest: Duration) -> (Duration, bool) {
        let mut time = locked(&self.time);
        let recent = now.saturating_sub(RECENT)..=now;
        let before = time.filter(|before| recent.contains(before) && newest.saturating_add(SETTLED) < *before);
        let told = *time.insert(before.unwrap_or(now));
        (told, before.is_some())
    }

    /// The one with this key in `cache`, if a good one is there.
    pub(crate) fn load(&self, cache: &Cache, key: blake3::Hash) -> Option<Snapshot> {
        let (place, bytes) = cache.read(key)?;
        let written = Written::read(&bytes)?;
        let snapshot = match written.base.map(str::to_owned) {
            Some(base) => {
                let base = self.base(&base).or_else(|| {
                    let bytes = cache.read_at(&base)?;
                    let image = Written::read(&bytes)?.snapshot(None).ok()?.image;
                    self.add_base(base, &image);
                    Some(image)
                })?;
                written.snapshot(Some(&base)).ok()?
            }
            None => {
                let snapshot = written.snapshot(None).ok()?;
                self.add_base(place, &snapshot.image);
                snapshot
            }
        };
        Some(snapshot)
    }

    /// Makes one of what a start-up has left, and puts it into `cache`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Host`] if there is no memory for it.
    pub(crate) fn make(
        &self,
        cache: Option<&Cache>,
        key: blake3::Hash,
        memory: &[u8],
        globals: Globals,
    ) -> Result<Snapshot, Error> {
        let other = locked(&self.bases).iter().find_map(|(place, image)| Some((place.clone(), image.upgrade()?)));
        let (image, base) = match other {
            Some((place, other)) => (Image::like(&other, memory, memory.len()), Some(place)),
            None => (Image::new(memory, memory.len()), None),
        };
        let image =
            image.map_err(|error| Error::new(ErrorKind::Host, "there is no room for a snapshot").with_source(error))?;
        let base = base.filter(|_| image.base().is_some());
        let snapshot = Snapshot { image: Arc::new(image), globals };
        // An image that nobody has kept can be nobody's base on the next start.
        let bytes = snapshot_file::write(&snapshot, base.as_deref().filter(|place| !place.is_empty()));
        let place = cache.and_then(|cache| cache.write(key, &bytes));
        if base.is_none() {
            self.add_base(place.unwrap_or_default(), &snapshot.image);
        }
        Ok(snapshot)
    }

    fn base(&self, place: &str) -> Option<Arc<Image>> {
        locked(&self.bases).iter().find(|(base, _)| base == place)?.1.upgrade()
    }

    fn add_base(&self, place: String, image: &Arc<Image>) {
        let mut bases = locked(&self.bases);
        bases.retain(|(_, image)| image.strong_count() > 0);
        bases.push((place, Arc::downgrade(image)));
    }
}

/// Start-ups of one module in so much time are told the same.
const RECENT: Duration = Duration::from_secs(60);
/// Programs distrust files that were modified just now, as PHP's opcache does for two seconds.
const SETTLED: Duration = Duration::from_secs(5);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use wasmtime::Val;

    use super::*;

    fn make(snapshots: &Snapshots, key: &[u8], memory: &[u8], global: i32) -> Arc<Snapshot> {
        let key = blake3::hash(key);
        let made = snapshots.make(None, key, memory, vec![(0, Val::I32(global))]).unwrap();
        snapshots.keep(key, made)
    }

    #[test]
    fn equal_ones_are_one() {
        let snapshots = Snapshots::default();
        let mut memory = vec![7; 16 << 16];
        let first = make(&snapshots, b"first", &memory, 1);
        let again = make(&snapshots, b"again", &memory, 1);
        assert!(Arc::ptr_eq(&first, &again));
        assert!(Arc::ptr_eq(&first, &snapshots.find(blake3::hash(b"again")).unwrap()));
        assert!(!Arc::ptr_eq(&first, &make(&snapshots, b"global", &memory, 2)));
        memory[5] = 1;
        let [other, same] = [b"other", b"same!"].map(|key| make(&snapshots, key, &memory, 1));
        assert!(Arc::ptr_eq(&other, &same) && !Arc::ptr_eq(&first, &other));
        // Without any page in common.
        let [base, rest] = [vec![1; 16 << 16], vec![2; 16 << 16]];
        let alone = make(&snapshots, b"base", &base, 1);
        assert!(!Arc::ptr_eq(&alone, &make(&snapshots, b"rest", &rest, 1)));
    }

    #[test]
    fn the_time_is_the_same_for_a_while() {
        let snapshots = Snapshots::default();
        let seconds = Duration::from_secs;
        assert_eq!(snapshots.time(seconds(1000), seconds(10)), (seconds(1000), false));
        assert_eq!(snapshots.time(seconds(1050), seconds(10)), (seconds(1000), true));
        // A file that was modified since.
        assert_eq!(snapshots.time(seconds(1051), seconds(1049)), (seconds(1051), false));
        assert_eq!(snapshots.time(seconds(1112), seconds(10)), (seconds(1112), false), "long ago");
        assert_eq!(snapshots.time(seconds(5), seconds(1)), (seconds(5), false), "the clock went back");
    }
}
