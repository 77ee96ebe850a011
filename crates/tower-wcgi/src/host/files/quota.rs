//! How much an exchange may keep in its private `/tmp`, in all files together.
//!
//! In: files that are about to grow, names that are about to be made. Out: whether there is room. What is counted is never
//! too little. When that reaches the limit, and something may have gone since, the directory is measured anew.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::sys;

/// What is left of one exchange's room. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Quota(Arc<Mutex<QuotaState>>);

/// There is no more room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug)]
struct QuotaState {
    dir: PathBuf,
    limit: u64,
    bytes: u64,
    names: u64,
    /// There may be less than is counted.
    is_stale: bool,
    /// Open files that have no name any more.
    unlinked: Vec<Weak<File>>,
}

impl Quota {
    pub(crate) fn new(dir: &Path, limit: u64) -> Self {
        let (bytes, names, is_stale, unlinked) = (0, 0, false, Vec::new());
        Self(Arc::new(Mutex::new(QuotaState { dir: dir.to_owned(), limit, bytes, names, is_stale, unlinked })))
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

    /// A name has gone or another file has got it; `open` are the files that are open.
    pub(crate) fn unlink(&self, open: impl Iterator<Item = Arc<File>>) {
        let mut state = self.lock();
        state.is_stale = true;
        state.unlinked.retain(|file| file.strong_count() > 0);
        for file in open {
            let known = state.unlinked.iter().any(|known| known.as_ptr() == Arc::as_ptr(&file));
            if !known && file.metadata().is_ok_and(|metadata| sys::links(&metadata) == 0) {
                state.unlinked.push(Arc::downgrade(&file));
            }
        }
    }

    /// Files may have come from elsewhere.
    pub(crate) fn measure(&self) {
        self.lock().measure();
    }

    fn lock(&self) -> MutexGuard<'_, QuotaState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QuotaState {
    fn take(&mut self, bytes: u64, names: u64) -> Result<(), Full> {
        if !self.has_room(bytes, names) {
            if !self.is_stale {
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
        self.bytes.saturating_add(bytes) <= self.limit && self.names + names <= MAX_NAMES
    }

    /// What cannot be measured is what was counted.
    fn measure(&mut self) {
        self.is_stale = false;
        let Ok((bytes, names)) = measure(&self.dir) else { return };
        let open = self.unlinked.iter().filter_map(Weak::upgrade).filter_map(|file| file.metadata().ok());
        self.bytes = bytes + open.map(|metadata| metadata.len()).sum::<u64>();
        self.names = names;
    }
}

/// How long all files below `dir` are, and how many names there are.
fn measure(dir: &Path) -> io::Result<(u64, u64)> {
    let (mut bytes, mut names) = (0_u64, 0);
    let mut seen = HashSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
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

/// An empty file takes room too, and a file system has only so many.
const MAX_NAMES: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_gives_its_room_back() {
        let dir = tempfile::tempdir().unwrap();
        let quota = Quota::new(dir.path(), 100);
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
        quota.unlink([Arc::clone(&file)].into_iter());
        assert_eq!(quota.grow(1), Err(Full), "it is still open");
        drop(file);
        quota.shrink();
        quota.grow(100).unwrap();
    }

    #[test]
    fn names_are_counted_too() {
        let dir = tempfile::tempdir().unwrap();
        let quota = Quota::new(dir.path(), 0);
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), "").unwrap();
        assert_eq!(measure(dir.path()).unwrap(), (0, 3));
        quota.0.lock().unwrap().names = MAX_NAMES;
        assert_eq!(quota.name(), Err(Full));
        quota.shrink();
        quota.name().unwrap();
        assert_eq!(quota.0.lock().unwrap().names, 4);
    }
}
