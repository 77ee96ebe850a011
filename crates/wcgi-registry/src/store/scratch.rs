//! A directory of this process's own in the store. The kernel gives its lock back when the process dies, so the next
//! process knows what may be removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Removed when dropped, or by the next process.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: PathBuf,
    lock_file: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one in `parent`, and removes those of dead processes.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        remove_abandoned(parent);
        let mut attempts = 0;
        loop {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            let name = format!("{:016x}", u64::from_ne_bytes(random));
            let lock_file = parent.join(format!("{name}.lock"));
            let lock = OpenOptions::new().write(true).create_new(true).open(&lock_file)?;
            lock.lock()?;
            // Another process may have taken the file for an abandoned one before it was locked.
            if lock_file.exists() {
                let directory = parent.join(name);
                fs::create_dir(&directory)?;
                return Ok(Self { directory, lock_file, _lock: lock });
            }
            attempts += 1;
            if attempts == MOST_ATTEMPTS {
                return Err(io::Error::other("other processes remove every file that is made"));
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next process.
        let _ = fs::remove_dir_all(&self.directory);
        let _ = fs::remove_file(&self.lock_file);
    }
}

fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let lock_file = entry.path();
        if lock_file.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(lock) = OpenOptions::new().write(true).open(&lock_file) else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(lock_file.with_extension(""));
            let _ = fs::remove_file(&lock_file);
        }
    }
}

const MOST_ATTEMPTS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_process_has_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Scratch::new(parent.path()).unwrap();
        fs::write(alive.path().join("half"), "").unwrap();
        // A lock file that nobody holds.
        fs::write(parent.path().join("dead.lock"), "").unwrap();
        fs::create_dir_all(parent.path().join("dead/half")).unwrap();

        let next = Scratch::new(parent.path()).unwrap();
        assert!(alive.path().join("half").exists());
        assert!(!parent.path().join("dead").exists() && !parent.path().join("dead.lock").exists());
        drop((alive, next));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
