//! What is known of a guest before it runs, and what was seen when it ran before.

use std::sync::atomic::{AtomicBool, Ordering};

/// The habits of one script, of all its exchanges.
#[derive(Debug)]
pub(crate) struct Habits {
    pub(crate) is_component: bool,
    /// Whether it imports file locks.
    imports_locks: bool,
    makes_lock_directories: AtomicBool,
}

impl Habits {
    pub(crate) fn new(is_component: bool, imports_locks: bool) -> Self {
        Self { is_component, imports_locks, makes_lock_directories: AtomicBool::new(false) }
    }

    /// The script was seen to lock a file by a directory beside it.
    pub(crate) fn note_lock_directory(&self) {
        self.makes_lock_directories.store(true, Ordering::Relaxed);
    }

    /// Whether its SQLite locks databases: by locks, or by a directory beside them, and one that does that once does it
    /// always. Then the lock is what keeps writers apart, and a database that is only open is everybody's.
    pub(crate) fn locks_databases(&self) -> bool {
        self.imports_locks || self.makes_lock_directories.load(Ordering::Relaxed)
    }
}
