//! Whose turn it is to write a file, and SQLite's ways to lock one: the same for modules and for components.
//!
//! SQLite without other means locks a file `X` by a directory `X.lock` beside it (its VFS "unix-dotfile"). Some programs do
//! the same. Here that is no directory but the right to `X`. A script waits for it instead of failing, and the right ends with
//! the exchange. SQLite finds no lock, so it rolls back a transaction that was cut off. Beside a lock it would not.

use super::files::{By, Deadlock, FileId, MAX_OPEN_FILES};
use super::state::HostState;

/// How a file begins that is an SQLite database, as far as it matters here.
pub(super) type Header = [u8; 20];

/// Why there is no lock directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoLockDirectory {
    /// The script has too many.
    TooMany,
    /// The script has it already, or could never have it.
    Exists,
}

impl HostState {
    /// Waits until `file`, which was opened as `fd`, is this exchange's to write. A database is not waited for by a script
    /// that locks databases.
    ///
    /// # Errors
    ///
    /// [`Deadlock`] when the turn could never come.
    pub(super) async fn wait_for_turn(
        &mut self,
        file: FileId,
        fd: u32,
        database: Option<Header>,
    ) -> Result<(), Deadlock> {
        if let Some(header) = database {
            if header.ends_with(WAL)
                && let Some(view) = &self.view
            {
                view.note_wal();
            }
            if self.habits.locks_databases() {
                return Ok(());
            }
            if !self.databases.contains(&file) && self.databases.len() < MAX_OPEN_FILES as usize {
                self.databases.push(file);
            }
        }
        self.turns.take(file, By::Descriptor(fd)).await
    }

    /// Waits for the right to `file`, which the lock directory `name` below the descriptor `dir` stands for.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub(super) async fn make_lock_directory(
        &mut self,
        file: FileId,
        dir: u32,
        name: &[u8],
    ) -> Result<(), NoLockDirectory> {
        if self.databases.contains(&file) {
            self.habits.note_lock_directory();
        }
        if self.turns.held() >= MAX_OPEN_FILES as usize {
            return Err(NoLockDirectory::TooMany);
        }
        let by = By::Directory(dir, name.into());
        if self.turns.has_directory(file) || self.turns.take(file, by).await == Err(Deadlock) {
            return Err(NoLockDirectory::Exists);
        }
        Ok(())
    }

    /// Gives the right back, if `name` below `dir` is a lock directory that the script has.
    pub(super) fn remove_lock_directory(&mut self, dir: u32, name: &[u8]) -> bool {
        name.ends_with(LOCK) && self.turns.give_back(&By::Directory(dir, name.into()))
    }

    /// The path of the file that a lock directory at `path` below `dir` would stand for.
    pub(super) fn locked_path<'p>(&self, dir: u32, path: &'p [u8]) -> Option<&'p [u8]> {
        if self.is_private(dir) { None } else { path.strip_suffix(LOCK) }
    }

    /// Whether `path` below `dir` leads to something else than a file or a directory. Opening or reading a pipe or a device may
    /// block the thread, and nothing could end that. None if a look does not tell.
    pub(super) fn is_special(&self, dir: u32, path: &[u8]) -> Option<bool> {
        if self.is_private(dir) {
            return Some(false);
        }
        self.view.as_ref()?.is_special(self.mount_number(dir), path)
    }
}

/// The header of a file that begins with `bytes`, if it is a database. What a shorter file lacks counts as zeros.
pub(super) fn database_header(bytes: &[u8]) -> Option<Header> {
    let mut header = Header::default();
    for (byte, given) in header.iter_mut().zip(bytes) {
        *byte = *given;
    }
    bytes.starts_with(DATABASE).then_some(header)
}

/// How much of a file is read to see that.
pub(super) const HEADER_LEN: usize = size_of::<Header>();
const DATABASE: &[u8] = b"SQLite format 3\0";
/// The versions of the file format for writing and for reading, of a database in WAL mode (SQLite's file format, §1.3.3).
const WAL: &[u8] = &[2, 2];
/// What the name of a lock directory ends with.
const LOCK: &[u8] = b".lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_by_how_it_begins() {
        let mut file = b"SQLite format 3\0\x10\0\x02\x02more".to_vec();
        assert!(database_header(&file).unwrap().ends_with(WAL));
        file[18] = 1;
        assert!(!database_header(&file).unwrap().ends_with(WAL));
        assert!(database_header(&file[..16]).is_some_and(|header| !header.ends_with(WAL)));
        assert_eq!(database_header(&file[..15]), None);
        assert_eq!(database_header(b"SQLite format 4\0\x10\0\x02\x02more"), None);
    }
}
