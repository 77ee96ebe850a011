//! Directories that scripts of two processes write to, which is warned of: locks and turns hold within one process.
//!
//! Each process that serves a writable mount has a shared lock on the directory itself. The kernel releases the lock of a
//! process that ends, however it ends, and every process sees it that sees the directory, through whatever mount of the
//! system. Nothing is written. File systems without such locks, as some of the network have none, are left alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A directory, whatever name it has.
type Identity = (u64, u64);

/// The directories of this process. Two locks of one process would be in each other's way.
static HELD: Mutex<BTreeMap<Identity, File>> = Mutex::new(BTreeMap::new());

/// Says that this process writes to `directories` from now on, and to no others. Warns of each that another process has.
pub(crate) fn hold(directories: impl IntoIterator<Item = PathBuf>) {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let mut now = BTreeMap::new();
    for directory in directories {
        let Ok((identity, file)) = open(&directory) else { continue };
        if now.contains_key(&identity) {
            continue;
        }
        if let Some(file) = held.remove(&identity) {
            now.insert(identity, file);
            continue;
        }
        match take(&file) {
            Ok(others) => {
                if others {
                    warn(&directory);
                }
                now.insert(identity, file);
            }
            Err(error) => tracing::debug!(%error, "{} has no locks", directory.display()),
        }
    }
    *held = now;
}

fn warn(directory: &Path) {
    tracing::warn!(
        "another process serves {} writable too: locks and turns of scripts hold within one process; \
         let one process write there, or keep the data in a database server",
        directory.display()
    );
}

/// Locks the directory beside others. Whether there are others.
fn take(file: &File) -> io::Result<bool> {
    let others = match file.try_lock() {
        Ok(()) => false,
        Err(std::fs::TryLockError::WouldBlock) => true,
        Err(std::fs::TryLockError::Error(error)) => return Err(error),
    };
    // From alone to beside others. One that comes just now is alone for a moment.
    for _ in 0..MOST_ATTEMPTS {
        match file.try_lock_shared() {
            Ok(()) => break,
            Err(std::fs::TryLockError::WouldBlock) => std::thread::yield_now(),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(others)
}

const MOST_ATTEMPTS: u32 = 1000;

#[cfg(unix)]
fn open(directory: &Path) -> io::Result<(Identity, File)> {
    use std::os::unix::fs::MetadataExt as _;
    let file = File::open(directory)?;
    let metadata = file.metadata()?;
    Ok(((metadata.dev(), metadata.ino()), file))
}

#[cfg(not(unix))]
fn open(_: &Path) -> io::Result<(Identity, File)> {
    // Directories have no locks there.
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn those_who_come_second_know_it_and_the_first_may_leave() {
        let directory = tempfile::tempdir().unwrap();
        // Each open file stands for a process.
        let [first, second, third] = [(); 3].map(|()| open(directory.path()).unwrap().1);
        assert!(!take(&first).unwrap());
        assert!(take(&second).unwrap());
        drop(first);
        assert!(take(&third).unwrap(), "the second is there");
        drop((second, third));
        assert!(!take(&open(directory.path()).unwrap().1).unwrap());
    }
}
