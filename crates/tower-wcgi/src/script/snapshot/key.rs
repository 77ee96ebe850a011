//! All inputs of a snapshot as one hash: the module, and everything that its start-up could have seen.
//!
//! In: the same as for an initialisation. Out: a key for the cache. The content of each file counts. So does its time, because
//! a guest can see it and PHP's opcache remembers it. A copy of a package that keeps the times has the same key.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::code::ModuleHash;
use crate::error::{Error, ErrorKind};
use crate::mount::Access;
use crate::script::surroundings::Surroundings;

/// The key of a snapshot, and when the newest file that its start-up can see was modified, since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SnapshotKey {
    pub(super) hash: blake3::Hash,
    pub(super) newest: Duration,
}

/// The key of the snapshot of `module`.
///
/// # Errors
///
/// As [`ensure_no_special_files`].
pub(super) fn key(module: ModuleHash, surroundings: &Surroundings) -> Result<SnapshotKey, Error> {
    let Surroundings { env, arguments, mounts: _, quotas: _, max_memory, deadline: _, reseeds, warmup, seen: _ } =
        surroundings;
    let mut key = Key::of_mounts(surroundings)?;
    key.add(FORMAT);
    key.add(module.0.as_bytes());
    key.add(&max_memory.to_le_bytes());
    key.add(&[u8::from(*reseeds)]);
    key.add(warmup);
    key.add(&env.len().to_le_bytes());
    for (name, value) in env {
        key.add(name.as_bytes());
        key.add(value.as_bytes());
    }
    key.add(&arguments.len().to_le_bytes());
    for argument in arguments.iter() {
        key.add(argument.as_bytes());
    }
    Ok(SnapshotKey { hash: key.hasher.finalize(), newest: key.newest })
}

/// # Errors
///
/// [`ErrorKind::Package`] if a read-only mount holds anything but files, directories and links. Opening a named pipe may take for
/// ever, and no deadline ends it.
pub(super) fn ensure_no_special_files(surroundings: &Surroundings) -> Result<(), Error> {
    Key::of_mounts(surroundings).map(drop)
}

struct Key {
    hasher: blake3::Hasher,
    newest: Duration,
    /// The first path that has no content to add.
    special: Option<PathBuf>,
}

impl Key {
    /// All that a start-up can see of the mounts.
    fn of_mounts(surroundings: &Surroundings) -> Result<Self, Error> {
        let mut key = Self { hasher: blake3::Hasher::new(), newest: Duration::ZERO, special: None };
        let mounts = &surroundings.mounts;
        let writable = mounts.iter().filter(|mount| mount.access == Access::ReadWrite);
        let writable: Vec<_> = writable.filter_map(|mount| fs::canonicalize(&mount.host).ok()).collect();
        for mount in mounts {
            key.add(mount.guest.as_bytes());
            match mount.access {
                Access::ReadOnly => key.add_tree(&mount.host, &writable),
                Access::ReadWrite => key.add(NOT_SEEN),
            }
        }
        match &key.special {
            Some(path) => {
                let why = format!("{} is neither a file nor a directory", path.display());
                Err(Error::new(ErrorKind::Package, why))
            }
            None => Ok(key),
        }
    }

    /// Adds one item. Its length goes first, so that no two lists of items look alike.
    fn add(&mut self, item: &[u8]) {
        self.hasher.update(&item.len().to_le_bytes()).update(item);
    }

    /// Adds every entry below `root`, in the order of their names. A guest cannot read an unreadable entry either, so the reason
    /// counts in its place. A directory of `writable` that lies below is left out: it is seen at its own mount,
    /// and empty.
    fn add_tree(&mut self, root: &Path, writable: &[PathBuf]) {
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let mut pending = vec![root.clone()];
        while let Some(path) = pending.pop() {
            self.add(path.strip_prefix(&root).unwrap_or(&path).as_os_str().as_encoded_bytes());
            if path != root && writable.contains(&path) {
                self.add(NOT_SEEN);
                continue;
            }
            match self.add_entry(&path) {
                Ok(below) => pending.extend(below),
                Err(error) => self.add(error.kind().to_string().as_bytes()),
            }
        }
    }

    /// Adds the file, link or directory at `path` and gives what is in it.
    fn add_entry(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_dir() {
            let mut below: Vec<_> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
            below.sort_unstable();
            self.add(&below.len().to_le_bytes());
            return Ok(below);
        }
        if metadata.is_symlink() {
            self.add(fs::read_link(path)?.as_os_str().as_encoded_bytes());
        } else if metadata.is_file() {
            self.add_file(path, &metadata)?;
        } else {
            self.special = Some(path.to_owned());
        }
        Ok(Vec::new())
    }

    fn add_file(&mut self, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.newest = self.newest.max(modified);
        self.add(&modified.as_nanos().to_le_bytes());
        let mut hasher = blake3::Hasher::new();
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => hasher.update(buffer.get(..n).unwrap_or_default()),
            };
        }
        self.add(hasher.finalize().as_bytes());
        Ok(())
    }
}

const NOT_SEEN: &[u8] = b"not seen";
/// Raise it whenever snapshots of the same inputs are made differently.
const FORMAT: &[u8] = b"tower-wcgi snapshot 4";
