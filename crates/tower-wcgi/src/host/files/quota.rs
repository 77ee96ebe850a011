//! How much all files of a directory may have together: of an exchange's private `/tmp`, or of a mount that has a quota.
//!
//! In: files that are about to grow, names that are about to be made. Out: whether there is room. What scripts write through one
//! quota is never counted too low. When the count reaches the limit, and something may have gone since, the directory is measured
//! anew. What others do in a mount is noticed only then.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::sys;

/// What is left of a directory's room. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Quota(Arc<Mutex<QuotaState>>);

/// The quotas of a service's mounts, in their order.
pub(crate) type Quotas = Arc<[Option<Quota>]>;

/// There is no more room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug)]
struct QuotaState {
    dir: PathBuf,
    limit: u64,
    max_names: u64,
    bytes: u64,
    names: u64,
    /// There may be less than is counted.
    is_stale: bool,
    /// Others use the directory too: there may always be less.
    is_shared: bool,
    measured: Option<Instant>,
    /// Files that were open when they were last looked at: one that has lost its name still takes room.
    open: Vec<Weak<File>>,
    /// With how many of them they are looked at again.
    full: usize,
}

impl Quota {
    /// Of the empty directory `dir`.
    pub(crate) fn empty(dir: &Path, limit: u64) -> Self {
        Self::new(dir, limit, false)
    }

    /// Of the directory `dir`, which others use too. It is measured when something is first written.
    pub(crate) fn shared(dir: &Path, limit: u64) -> Self {
        Self::new(dir, limit, true)
    }

    fn new(dir: &Path, limit: u64, is_shared: bool) -> Self {
        Self(Arc::new(Mutex::new(QuotaState {
            dir: dir.to_owned(),
            limit,
            max_names: MAX_NAMES.max(limit / BYTES_OF_NAME),
            bytes: if is_shared { u64::MAX } else { 0 },
            names: 0,
            is_stale: false,
            is_shared,
            measured: None,
            open: Vec::new(),
            full: FEW,
        })))
    }

    /// A file is about to grow by `bytes`, with holes, or as far as it is written beyond its end.
    pub(crate) fn grow(&self, bytes: u64) -> Result<(), Full> {
        self.lock().take(bytes, 0)
    }

    /// A file, a directory or a link is about to be made, if there is none of that name.
    pub(crate) fn name(&self) -> Result<(), Full> {
        let mut state = self.lock();
        state.take(0, 1)?;
        state.is_stale = true;
        Ok(())
    }

    /// Something has gone, or may have.
    pub(crate) fn shrink(&self) {
        self.lock().is_stale = true;
    }

    /// `file` is open. It counts until it is closed, with a name or without.
    pub(crate) fn opened(&self, file: &Arc<File>) {
        let mut state = self.lock();
        if state.open.len() >= state.full {
            state.open.retain(|file| file.strong_count() > 0);
            state.full = (2 * state.open.len()).max(FEW);
        }
        state.open.push(Arc::downgrade(file));
    }

    fn lock(&self) -> MutexGuard<'_, QuotaState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QuotaState {
    fn take(&mut self, bytes: u64, names: u64) -> Result<(), Full> {
        // What is too full already may be written where it is.
        if bytes == 0 && names == 0 {
            return Ok(());
        }
        if !self.has_room(bytes, names) {
            if !self.may_have_more_room() {
                return Err(Full);
            }
            self.measure();
            if !self.has_room(bytes, names) {
                return Err(Full);
            }
        }
        self.bytes += bytes;
        self.names += names;
        Ok(())
    }

    fn has_room(&self, bytes: u64, names: u64) -> bool {
        self.bytes.saturating_add(bytes) <= self.limit && self.names + names <= self.max_names
    }

    /// Nobody has a large directory measured all the time.
    fn may_have_more_room(&self) -> bool {
        if !self.is_shared {
            return self.is_stale;
        }
        let pause = PAUSE_OF_NAME.saturating_mul(u32::try_from(self.names).unwrap_or(u32::MAX));
        self.names < FEW_NAMES || self.measured.is_none_or(|measured| measured.elapsed() > pause)
    }

    /// What cannot be measured is what was counted.
    fn measure(&mut self) {
        self.measured = Some(Instant::now());
        let Ok((bytes, names)) = measure(&self.dir) else { return };
        self.is_stale = false;
        self.bytes = bytes.saturating_add(self.without_names());
        self.names = names;
    }

    /// How long the open files are that have no name any more.
    fn without_names(&self) -> u64 {
        let mut seen = HashSet::new();
        let open = self.open.iter().filter_map(Weak::upgrade).filter_map(|file| file.metadata().ok());
        let unlinked = open.filter(|file| sys::links(file) == 0 && seen.insert(sys::device_and_inode(file)));
        unlinked.map(|file| file.len()).fold(0, u64::saturating_add)
    }
}

/// How long all files below `dir` are, and how many names there are.
fn measure(dir: &Path) -> io::Result<(u64, u64)> {
    let (mut bytes, mut names) = (0_u64, 0);
    let mut seen = HashSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        // Others may remove what was there a moment ago.
        let Some(entries) = if_there(fs::read_dir(dir))? else { continue };
        for entry in entries {
            let Some(entry) = if_there(entry)? else { continue };
            let Some(metadata) = if_there(entry.metadata())? else { continue };
            names += 1;
            if metadata.is_dir() {
                dirs.push(entry.path());
            } else if sys::links(&metadata) < 2 || sys::device_and_inode(&metadata).is_none_or(|file| seen.insert(file))
            {
                bytes = bytes.saturating_add(metadata.len());
            }
        }
    }
    Ok((bytes, names))
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// An empty file takes room too, and a file system has only so many.
const MAX_NAMES: u64 = 1 << 16;
/// A large directory may have more: one for each block of its bytes.
const BYTES_OF_NAME: u64 = 4096;
/// A directory with fewer is measured in no time.
const FEW_NAMES: u64 = 1000;
/// Some times as long as measuring takes.
const PAUSE_OF_NAME: Duration = Duration::from_micros(10);
/// So many open files are not worth a look.
const FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_gives_its_room_back() {
        let dir = tempfile::tempdir().unwrap();
        let quota = Quota::empty(dir.path(), 100);
        let path = dir.path().join("a");
        quota.grow(60).unwrap();
        fs::write(&path, [0; 60]).unwrap();
        assert_eq!(quota.grow(41), Err(Full));
        quota.grow(40).unwrap();
        let file = Arc::new(File::options().append(true).open(&path).unwrap());
        file.set_len(100).unwrap();
        fs::hard_link(&path, dir.path().join("b")).unwrap();
        quota.shrink();
        assert_eq!(quota.grow(1), Err(Full), "two names of one file");
        fs::remove_file(&path).unwrap();
        fs::remove_file(dir.path().join("b")).unwrap();
        quota.opened(&file);
        quota.shrink();
        assert_eq!(quota.grow(1), Err(Full), "it is still open");
        drop(file);
        quota.shrink();
        quota.grow(100).unwrap();
    }

    #[test]
    fn names_are_counted_too() {
        let dir = tempfile::tempdir().unwrap();
        let quota = Quota::empty(dir.path(), 0);
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), "").unwrap();
        assert_eq!(measure(dir.path()).unwrap(), (0, 3));
        quota.0.lock().unwrap().names = MAX_NAMES;
        assert_eq!(quota.name(), Err(Full));
        quota.shrink();
        quota.name().unwrap();
        assert_eq!(quota.0.lock().unwrap().names, 4);
    }

    #[test]
    fn what_was_there_counts_and_may_be_written_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old"), [0; 150]).unwrap();
        let quota = Quota::shared(dir.path(), 100);
        quota.grow(0).unwrap();
        assert_eq!((quota.grow(1), quota.name()), (Err(Full), Err(Full)));
        fs::write(dir.path().join("old"), [0; 50]).unwrap();
        quota.grow(50).unwrap();
        fs::write(dir.path().join("new"), [0; 50]).unwrap();
        assert_eq!(quota.grow(1), Err(Full));
    }

    #[test]
    fn a_large_directory_is_not_measured_all_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let quota = Quota::shared(dir.path(), 100);
        quota.name().unwrap();
        let now = Instant::now();
        let mut state = quota.lock();
        (state.names, state.bytes, state.measured) = (1 << 30, 100, Some(now));
        assert!(!state.may_have_more_room(), "not for hours");
        state.names = FEW_NAMES - 1;
        assert!(state.may_have_more_room());
    }

    #[test]
    fn closed_files_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let quota = Quota::empty(dir.path(), 100);
        let kept = Arc::new(tempfile::tempfile_in(dir.path()).unwrap());
        kept.set_len(60).unwrap();
        for _ in 0..100 {
            quota.opened(&Arc::new(kept.try_clone().unwrap()));
            quota.opened(&kept);
        }
        quota.shrink();
        assert_eq!(quota.grow(101), Err(Full));
        assert_eq!(quota.0.lock().unwrap().bytes, 60, "however often it is open");
        drop(kept);
        quota.opened(&Arc::new(tempfile::tempfile_in(dir.path()).unwrap()));
        for _ in 0..100 {
            quota.opened(&Arc::new(tempfile::tempfile_in(dir.path()).unwrap()));
        }
        assert!(quota.0.lock().unwrap().open.len() <= FEW + 1);
    }
}
