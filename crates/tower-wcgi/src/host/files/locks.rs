//! Locks on parts of files, for scripts that ask for them: what `fcntl` is to other systems and WASI does not have.
//!
//! They are advisory, of one process, and never waited for. An exchange has as many as it likes on a file; they never stand
//! in its own way. Knows nothing of paths or of WASI: what a file is, is said by an identity.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::look::FileId;

/// What a lock keeps others from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// Locking exclusively.
    Shared,
    /// Locking at all.
    Exclusive,
}

/// There is no lock to be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoLock {
    /// Another exchange has one that is in the way.
    Taken,
    /// The exchange has too many.
    TooMany,
}

/// The locks of one exchange. They are given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Locks {
    table: &'static Mutex<Table>,
    owner: u64,
    /// Files by the descriptors that were used to lock them.
    files: Vec<(u32, FileId)>,
}

type Table = HashMap<FileId, Vec<Lock>>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Lock {
    owner: u64,
    kind: LockKind,
    /// Never empty.
    bytes: Range<u64>,
}

impl Default for Locks {
    fn default() -> Self {
        static PROCESS: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
        Self::of(&PROCESS)
    }
}

impl Locks {
    fn of(table: &'static Mutex<Table>) -> Self {
        static OWNERS: AtomicU64 = AtomicU64::new(0);
        Self { table, owner: OWNERS.fetch_add(1, Ordering::Relaxed), files: Vec::new() }
    }

    /// The file of a descriptor that was [known](Self::know) before.
    pub(crate) fn file(&self, fd: u32) -> Option<FileId> {
        self.files.iter().find(|(known, _)| *known == fd).map(|(_, file)| *file)
    }

    /// Remembers which file a descriptor is of.
    pub(crate) fn know(&mut self, fd: u32, file: FileId) {
        self.files.push((fd, file));
    }

    /// Locks these bytes, or says that they are locked by another. A lock that this exchange has on some of them becomes this
    /// one.
    pub(crate) fn lock(&mut self, file: FileId, bytes: &Range<u64>, kind: LockKind) -> Result<(), NoLock> {
        let mut table = lock(self.table);
        let locks = table.entry(file).or_default();
        if locks.iter().any(|lock| lock.bars(self.owner, bytes, kind)) {
            return Err(NoLock::Taken);
        }
        if locks.iter().filter(|lock| lock.owner == self.owner).count() >= MAX_LOCKS {
            return Err(NoLock::TooMany);
        }
        release(locks, self.owner, bytes);
        locks.push(Lock { owner: self.owner, kind, bytes: bytes.clone() });
        Ok(())
    }

    /// Unlocks these bytes, of which none has to be locked.
    ///
    /// # Errors
    ///
    /// [`NoLock::TooMany`]: what is left of a lock on both sides would be one lock too many.
    pub(crate) fn unlock(&mut self, file: FileId, bytes: &Range<u64>) -> Result<(), NoLock> {
        let mut table = lock(self.table);
        let Some(locks) = table.get_mut(&file) else { return Ok(()) };
        let mine = || locks.iter().filter(|lock| lock.owner == self.owner);
        let splits = |lock: &Lock| lock.bytes.start < bytes.start && bytes.end < lock.bytes.end;
        if mine().any(splits) && mine().count() >= MAX_LOCKS {
            return Err(NoLock::TooMany);
        }
        release(locks, self.owner, bytes);
        if locks.is_empty() {
            table.remove(&file);
        }
        Ok(())
    }

    /// Whether [`lock`](Self::lock) would find nobody in its way.
    pub(crate) fn is_free(&self, file: FileId, bytes: &Range<u64>, kind: LockKind) -> bool {
        let table = lock(self.table);
        table.get(&file).is_none_or(|locks| !locks.iter().any(|lock| lock.bars(self.owner, bytes, kind)))
    }

    /// A descriptor was closed. As in POSIX that ends all locks on its file, if it was used to lock it.
    pub(crate) fn closed(&mut self, fd: u32) {
        if let Some(index) = self.files.iter().position(|(known, _)| *known == fd) {
            let (_, file) = self.files.swap_remove(index);
            let _never_too_many = self.unlock(file, &ALL);
        }
    }

    /// The descriptor `from` is `to` now.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) {
        self.closed(to);
        if let Some((fd, _)) = self.files.iter_mut().find(|(fd, _)| *fd == from) {
            *fd = to;
        }
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        while let Some((fd, _)) = self.files.first() {
            self.closed(*fd);
        }
    }
}

impl Lock {
    /// Whether `other` cannot lock these bytes for it.
    fn bars(&self, other: u64, bytes: &Range<u64>, kind: LockKind) -> bool {
        self.owner != other
            && (self.kind == LockKind::Exclusive || kind == LockKind::Exclusive)
            && self.bytes.start < bytes.end
            && bytes.start < self.bytes.end
    }
}

/// Takes `bytes` out of what `owner` has locked.
fn release(locks: &mut Vec<Lock>, owner: u64, bytes: &Range<u64>) {
    let mut rests = Vec::new();
    locks.retain_mut(|lock| {
        if lock.owner != owner {
            return true;
        }
        let after = bytes.end.max(lock.bytes.start)..lock.bytes.end;
        let before = lock.bytes.start..bytes.start.min(lock.bytes.end);
        if before.is_empty() {
            lock.bytes = after;
            return !lock.bytes.is_empty();
        }
        if !after.is_empty() {
            rests.push(Lock { bytes: after, ..lock.clone() });
        }
        lock.bytes = before;
        true
    });
    locks.append(&mut rests);
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every byte a file can have.
pub(crate) const ALL: Range<u64> = 0..u64::MAX;
/// What one exchange may have on one file.
const MAX_LOCKS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(1);

    fn exchange(table: &'static Mutex<Table>) -> Locks {
        let mut locks = Locks::of(table);
        locks.know(4, FILE);
        locks
    }

    fn two() -> (Locks, Locks) {
        let table = Box::leak(Box::default());
        (exchange(table), exchange(table))
    }

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let (mut a, mut b) = two();
        a.lock(FILE, &(0..10), LockKind::Shared).unwrap();
        b.lock(FILE, &(5..15), LockKind::Shared).unwrap();
        assert_eq!(a.lock(FILE, &(14..20), LockKind::Exclusive), Err(NoLock::Taken));
        assert!(!a.is_free(FILE, &(14..20), LockKind::Exclusive));
        a.lock(FILE, &(15..20), LockKind::Exclusive).unwrap();
        assert_eq!(b.lock(FILE, &(19..20), LockKind::Shared), Err(NoLock::Taken));
        assert!(a.is_free(FILE, &(0..20), LockKind::Shared), "one's own are not in the way");
        a.lock(FileId(2), &ALL, LockKind::Exclusive).unwrap();
        assert!(b.is_free(FILE, &(20..30), LockKind::Exclusive));
    }

    #[test]
    fn a_part_can_be_unlocked_and_locked_otherwise() {
        let (mut a, mut b) = two();
        a.lock(FILE, &(0..30), LockKind::Exclusive).unwrap();
        a.unlock(FILE, &(10..20)).unwrap();
        b.lock(FILE, &(10..20), LockKind::Exclusive).unwrap();
        assert!(!b.is_free(FILE, &(9..10), LockKind::Shared) && !b.is_free(FILE, &(20..21), LockKind::Shared));
        a.lock(FILE, &(20..25), LockKind::Shared).unwrap();
        assert!(b.is_free(FILE, &(20..25), LockKind::Shared) && !b.is_free(FILE, &(25..26), LockKind::Shared));
        a.unlock(FILE, &(0..5)).unwrap();
        a.unlock(FILE, &(28..40)).unwrap();
        assert!(b.is_free(FILE, &(0..5), LockKind::Exclusive) && b.is_free(FILE, &(28..30), LockKind::Exclusive));
        assert!(!b.is_free(FILE, &(5..6), LockKind::Shared) && !b.is_free(FILE, &(27..28), LockKind::Shared));
    }

    #[test]
    fn closing_a_descriptor_or_ending_gives_all_back() {
        let (mut a, b) = two();
        a.lock(FILE, &(0..1), LockKind::Exclusive).unwrap();
        a.lock(FILE, &(5..6), LockKind::Shared).unwrap();
        a.renumber(4, 7);
        a.closed(4);
        assert!(!b.is_free(FILE, &ALL, LockKind::Exclusive));
        a.closed(7);
        assert!(b.is_free(FILE, &ALL, LockKind::Exclusive));
        a.know(8, FILE);
        a.lock(FILE, &ALL, LockKind::Exclusive).unwrap();
        let table = a.table;
        drop(a);
        assert!(lock(table).is_empty());
    }

    #[test]
    fn one_cannot_have_locks_without_end() {
        let (mut a, mut b) = two();
        let many = (0..).take_while(|n| a.lock(FILE, &(10 * n..10 * n + 5), LockKind::Shared).is_ok()).count();
        assert_eq!(many, MAX_LOCKS);
        assert_eq!(a.unlock(FILE, &(11..12)), Err(NoLock::TooMany));
        a.unlock(FILE, &(10..15)).unwrap();
        a.unlock(FILE, &(21..22)).unwrap();
        assert_eq!(a.lock(FILE, &(9999..10_000), LockKind::Shared), Err(NoLock::TooMany));
        a.unlock(FILE, &ALL).unwrap();
        b.lock(FILE, &ALL, LockKind::Exclusive).unwrap();
    }
}
