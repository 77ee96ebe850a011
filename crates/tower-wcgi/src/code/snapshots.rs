//! The snapshots of one module: those in use, and those in the cache.
//!
//! In: what a start-up has left, under its key. Out: the snapshot. One that is much like another of its module shares what is the
//! same, in memory and in the cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

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
    /// Images that share with no other, by their place in the cache: what a new one may be like.
    bases: Mutex<Vec<(String, Weak<Image>)>>,
}

impl Snapshots {
    /// The one with this key, if it is in use.
    pub(crate) fn find(&self, key: blake3::Hash) -> Option<Arc<Snapshot>> {
        locked(&self.in_use).get(&key)?.upgrade()
    }

    /// Remembers that it is in use.
    pub(crate) fn keep(&self, key: blake3::Hash, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        let mut in_use = locked(&self.in_use);
        in_use.retain(|_, snapshot| snapshot.strong_count() > 0);
        in_use.insert(key, Arc::downgrade(&snapshot));
        snapshot
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
